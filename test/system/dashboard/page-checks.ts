/** What holds for every state of the page: readable, named, inside its window. Run inside the page. */
import type { Page } from 'playwright-core';

/** Text whose contrast with what lies behind it is below 4.5 to 1 (WCAG 2.2, 1.4.3), as `ratio text`. */
export function lowContrast(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    type Colour = readonly [red: number, green: number, blue: number, alpha: number];
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    function colourOf(css: string): Colour {
      if (canvas === null) throw new Error('no canvas');
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = css;
      canvas.fillRect(0, 0, 1, 1);
      const [red = 0, green = 0, blue = 0, alpha = 0] = canvas.getImageData(0, 0, 1, 1).data;
      return [red, green, blue, alpha];
    }
    function luminance([red, green, blue]: Colour): number {
      const [r, g, b] = [red, green, blue].map((part) => {
        const share = part / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * (r ?? 0) + 0.7152 * (g ?? 0) + 0.0722 * (b ?? 0);
    }
    function groundOf(element: Element | null): Colour {
      for (let at = element; at !== null; at = at.parentElement) {
        const colour = colourOf(getComputedStyle(at).backgroundColor);
        if (colour[3] === 255) return colour;
      }
      return [255, 255, 255, 255];
    }
    const low: string[] = [];
    for (const element of document.querySelectorAll('body *')) {
      const own = [...element.childNodes].some((node) => node.nodeType === 3 && (node.textContent ?? '').trim() !== '');
      const hidden = !element.checkVisibility() || element.closest('.unseen, .skip, :disabled') !== null;
      if (!own || hidden) continue;
      const [text, ground] = [luminance(colourOf(getComputedStyle(element).color)), luminance(groundOf(element))];
      const ratio = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
      if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${element.textContent}`);
    }
    return low;
  });
}

/** What assistive programs would stumble over: controls without a name, ids that are there twice, leaps between headings. */
export function structureFaults(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const faults: string[] = [];
    for (const control of document.querySelectorAll('a[href], button, input, select, summary')) {
      const label = 'labels' in control && control.labels instanceof NodeList ? [...control.labels] : [];
      const name = [control.getAttribute('aria-label'), control.textContent, ...label.map((one) => one.textContent)];
      if (name.every((one) => (one ?? '').trim() === '')) faults.push(`no name: ${control.outerHTML}`);
    }
    const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
    for (const id of ids.filter((one, i) => ids.indexOf(one) !== i)) faults.push(`id twice: ${id}`);
    for (const element of document.querySelectorAll('[aria-labelledby]')) {
      const id = element.getAttribute('aria-labelledby') ?? '';
      if (document.getElementById(id) === null) faults.push(`labelled by nothing: ${id}`);
    }
    const levels = [...document.querySelectorAll('h1, h2, h3, h4')].map((heading) => Number(heading.tagName[1]));
    if (levels.filter((level) => level === 1).length !== 1) faults.push('not exactly one h1');
    levels.forEach((level, i) => {
      if (i > 0 && level > (levels[i - 1] ?? 0) + 1) faults.push(`heading ${i} leaps to h${level}`);
    });
    if (document.documentElement.lang === '') faults.push('no language');
    return faults;
  });
}

/** True where the page is wider than its window. */
export function isTooWide(page: Page): Promise<boolean> {
  return page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
}
