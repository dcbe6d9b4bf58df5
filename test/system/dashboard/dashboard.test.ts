/**
 * The dashboard in a real browser, served by the real service, over verdicts of the real verifier. The host behind them
 * is simulated (`test/fleet`); its quotes are signed, and verify.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { type Service, startService } from '../../fleet/service.ts';
import { requires } from '../requirements.ts';
import { BROWSER, WEB_ROOT } from './browser.ts';
import { DemonstrationHost, PROGRAM, referenceFor, Trial } from './demonstration-host.ts';
import { isTooWide, lowContrast, structureFaults } from './page-checks.ts';

/** A name that would take over a page that trusted it, and turn round one that showed it as it is. */
const HOSTILE = '/opt/<img src=x onerror="document.title=`taken`">\u202egpj.\n\x1b[31mexe';

const run = promisify(execFile);

async function linkOf(service: Service): Promise<string> {
  const link = await service.server.dashboardLink();
  assert.ok(link !== undefined);
  return link;
}

describe('the dashboard', requires('chromium'), () => {
  const trial = new Trial();
  const faults: string[] = [];
  let browser: Browser;
  let service: Service;
  let host: DemonstrationHost;

  before(async () => {
    assert.ok(existsSync(join(WEB_ROOT, 'index.html')), 'web/dist is not built: npm run build:web');
    browser = await chromium.launch(BROWSER);
    service = await startService({ webRoot: WEB_ROOT, demonstration: trial, ekRoots: [] });
    host = await DemonstrationHost.enrolled(service, 'build-07');
    trial.host = host;
    const good = hash('sha256', 'hello');
    const hostile = hash('sha256', 'hostile');
    await service.server.putReference(
      'test',
      referenceFor(
        [
          { path: PROGRAM, sha256: good },
          { path: '/opt/**', sha256: hostile },
        ],
        [{ path: '/usr/local/bin/own', sha256: hash('sha256', 'own') }],
      ),
    );
    await service.server.useReference(host.id, 'test');
    await host.boot({ [PROGRAM]: 'hello', [HOSTILE]: 'hostile' });
  });

  after(async () => {
    await browser?.close();
    await service?.[Symbol.asyncDispose]();
  });

  /** A page with its own session; whatever it complains of is kept in `faults`. */
  async function open(of: Service, options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 1600, height: 1000 }, ...options });
    const page = await context.newPage();
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(`${message.text()} (${message.location().url})`);
    });
    await page.goto(await linkOf(of));
    await page.waitForSelector('#verdict, .blank');
    return page;
  }

  test('shows chain, verdict and assurance, and says that it only demonstrates', async () => {
    faults.length = 0;
    const page = await open(service);
    await page.waitForSelector('.link[data-state="live"]');
    assert.equal(await page.textContent('h1'), 'Warning');
    assert.match((await page.textContent('.demonstrating')) ?? '', /demonstrates attestation and does not protect/);
    assert.deepEqual(
      await page.$$eval('.chain-link', (links) => links.map((link) => link.getAttribute('data-state'))),
      ['absent', 'absent', 'absent', 'held'],
    );
    assert.match((await page.textContent('[data-link="kernel"] .fill')) ?? '', /CONFIG_IMA/);
    assert.match((await page.textContent('.pcr[data-index="10"]')) ?? '', /IMA.*[0-9a-f]{64}/);
    assert.match((await page.textContent('.verdict time')) ?? '', /(just now|ago) \d{4}-\d\d-\d\d .* UTC/);
    const asOf = await page.getAttribute('.verdict time', 'datetime');
    await host.attest(); // nothing new, and yet newer
    await page.waitForSelector(`.verdict time:not([datetime="${asOf}"])`, { timeout: 5000 });
    const policy = (await page.reload())?.headers()['content-security-policy'];
    assert.match(policy ?? '', /default-src 'none'; script-src 'self'; style-src 'self';/);
    await page.waitForSelector('#verdict');
    assert.match(await page.title(), /^Warning · build-07 · Assay$/);
    assert.deepEqual(faults, []);
    await page.context().close();
  });

  test('its mark is there under the name that browsers ask for by themselves', async () => {
    const { origin } = new URL(await linkOf(service));
    const icon = await fetch(`${origin}/favicon.ico`);
    assert.equal(icon.status, 200);
    assert.equal(icon.headers.get('content-type'), 'image/svg+xml');
    assert.match(await icon.text(), /<svg/);
  });

  test('a changed program turns the link red in under a second, with file and cause; undo turns it back', async () => {
    faults.length = 0;
    const page = await open(service);
    await page.click('button:text-is("Change it and run it")');
    await page.waitForSelector('[data-link="files"][data-state="broken"]', { timeout: 5000 });
    assert.equal(await page.textContent('h1'), 'Not trusted');
    const cause = await page.textContent('[data-link="files"] .cause');
    assert.match(cause ?? '', new RegExp(`other content than expected: ${PROGRAM}$`));
    const note = await page.waitForSelector('.trial-note:not(:empty)');
    const milliseconds = Number(/(\d+) ms/.exec((await note.textContent()) ?? '')?.[1]);
    assert.ok(milliseconds < 1000, `took ${milliseconds} ms`);
    assert.match((await page.textContent('#verdict [role="status"]')) ?? '', /Not trusted.*other content/);
    await page.waitForSelector('.files tbody tr:first-child[data-severity="untrusted"]'); // the newest comes first
    assert.match((await page.textContent('.files tbody tr:first-child')) ?? '', new RegExp(PROGRAM));
    await page.click('button:text-is("Undo")');
    await page.waitForSelector('[data-link="files"][data-state="held"]', { timeout: 5000 });
    assert.equal(await page.textContent('h1'), 'Warning');
    await host.run(HOSTILE, 'hostile');
    assert.deepEqual(faults, []);
    await page.context().close();
  });

  test('a file that waits for a person is approved with a click, and no finding any more with the next evidence', async () => {
    faults.length = 0;
    await host.run('/usr/local/bin/own', 'own');
    const page = await open(service);
    await page.click('text=Approve this file as it is');
    await page.waitForSelector('text=Approved; it counts from the next evidence on.');
    await host.attest();
    await page.waitForFunction(() => !document.body.textContent?.includes('/usr/local/bin/own has'));
    await page.waitForSelector('.approve', { state: 'detached', timeout: 5000 });
    const findings = (await service.server.host(host.id))?.standing ?? [];
    assert.deepEqual(
      findings.filter(({ code }) => code === 'file.unpackaged'),
      [],
    );
    assert.deepEqual(faults, []);
    await page.context().close();
  });

  test('files are found by a part of their name; a hostile name is text, with its unseen characters written out', async () => {
    faults.length = 0;
    const page = await open(service);
    await page.fill('input[type="search"]', 'onerror');
    await page.waitForFunction((wanted) => document.querySelectorAll('.files tbody tr').length === wanted, 1);
    assert.equal(
      await page.textContent('.files tbody .path'),
      '/opt/<img src=x onerror="document.title=`taken`">\\u202egpj.\\n\\x1b[31mexe',
    );
    assert.equal((await page.locator('.escape').count()) > 0, true);
    assert.equal(await page.locator('img').count(), 0);
    await page.fill('input[type="search"]', hash('sha256', 'hostile').slice(10, 30));
    await page.waitForSelector('.files tbody .escape');
    await page.fill('input[type="search"]', 'nothing has this name');
    await page.waitForSelector('text=No measured file matches.');
    assert.deepEqual(faults, []);
    await page.context().close();
  });

  test(
    'the evidence verifies with tpm2_checkquote by the line that stands there',
    requires('tpm2_quote'),
    async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'assay-dashboard-'));
      t.after(() => rmSync(folder, { recursive: true, force: true }));
      const page = await open(service);
      const links = page.locator('.downloads a');
      await links.first().waitFor();
      for (const link of await links.all()) {
        await host.attest(); // quotes go on while somebody downloads
        const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
        await download.saveAs(join(folder, download.suggestedFilename()));
      }
      const line = (await page.textContent('.command code')) ?? '';
      assert.match(line, /^tpm2_checkquote [\w ./-]+$/);
      const [program = '', ...words] = line.split(' ');
      await run(program, words, { cwd: folder });
      const forged = words.map((word, i) => (words[i - 1] === '-q' ? 'ab'.repeat(32) : word));
      await assert.rejects(run(program, forged, { cwd: folder }));
      await page.context().close();
    },
  );

  test('one line enrols another machine: its token is good', async () => {
    const page = await open(service);
    await page.click('button:text-is("Make the line")');
    const line = (await page.textContent('section:has(#enrol-title) .command code')) ?? '';
    const token = /assay_join_[\w-]{43}/.exec(line)?.[0];
    assert.ok(token !== undefined, line);
    assert.ok(line.includes(service.server.fingerprint));
    const answer = await service.client.send('/api/agent/enrol', { method: 'POST', token, body: 'x' });
    assert.notEqual(answer.status, 401);
    await page.context().close();
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [375, 1600]) {
      test(`is readable and named in ${colorScheme} at ${width} px, before and after the change`, async () => {
        const page = await open(service, { colorScheme, viewport: { width, height: 900 }, reducedMotion: 'reduce' });
        await page.waitForSelector('.files tbody tr');
        for (const step of ['before', 'Change it and run it', 'Undo']) {
          if (step !== 'before') await page.click(`button:text-is("${step}")`);
          await page.waitForSelector(`[data-link="files"][data-state="${step.startsWith('C') ? 'broken' : 'held'}"]`);
          assert.deepEqual(await lowContrast(page), []);
          assert.deepEqual(await structureFaults(page), []);
          assert.equal(await isTooWide(page), false);
        }
        await page.context().close();
      });
    }
  }

  test('works from the keyboard: first the way past, then each control, each seen when it is reached', async () => {
    const page = await open(service);
    await page.waitForSelector('.files tbody tr');
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement?.className), 'skip');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement?.id), 'verdict');
    const reached: string[] = [];
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press('Tab');
      const { name, outline } = await page.evaluate(() => {
        const active = document.activeElement;
        if (active === null || active === document.body) return { name: undefined, outline: '' };
        return { name: active.textContent ?? '', outline: getComputedStyle(active).outlineStyle };
      });
      if (name === undefined) break;
      assert.notEqual(outline, 'none', `no focus ring on ${name}`);
      reached.push(name);
    }
    for (const wanted of ['Change it and run it', 'ak.pub', 'Copy', 'Make the line']) {
      assert.ok(reached.includes(wanted), `${wanted} was not reached: ${reached.join(', ')}`);
    }
    await page.context().close();
  });

  test('a used link opens nothing, and the page says what to do', async () => {
    const link = await linkOf(service);
    const page = await (await browser.newContext()).newPage();
    await page.goto(link);
    await page.waitForSelector('#verdict');
    await page.context().clearCookies();
    assert.equal((await page.goto(link))?.status(), 401);
    await page.goto(new URL('/', link).href);
    await page.waitForSelector('text=This session is over.');
    await page.context().close();
  });

  test('no host, then one; silent is told from untrusted; a server that comes back is found by itself', async () => {
    const settings = { intervalMs: 400, missedIntervals: 3 };
    const dataFolder = mkdtempSync(join(tmpdir(), 'assay-dashboard-'));
    const first = await startService({ webRoot: WEB_ROOT, ekRoots: [], settings, dataFolder });
    const port = Number(new URL(first.local.url).port);
    const page = await open(first);
    await page.waitForSelector('text=No host yet');
    const lone = await DemonstrationHost.enrolled(first, 'lone');
    await lone.boot({ '/bin/true': 'true' });
    await page.waitForSelector('#verdict[data-standing="silent"]', { timeout: 10_000 });
    assert.match((await page.textContent('.verdict-summary')) ?? '', /says nothing about its integrity/);
    await lone.attest();
    await page.waitForSelector('#verdict:not([data-standing="silent"])', { timeout: 5000 });
    await first.server.stop();
    await page.waitForSelector('text=The server does not answer.');
    assert.equal(await page.locator('#verdict').count(), 1);
    const listeners = [
      { kind: 'dashboard', address: '127.0.0.1', port },
      { kind: 'tls', address: '127.0.0.1', port: 0 },
    ] as const;
    await using _second = await startService({ webRoot: WEB_ROOT, ekRoots: [], settings, dataFolder, listeners });
    await page.waitForSelector('.link[data-state="live"]', { timeout: 10_000 });
    assert.equal(await page.locator('text=The server does not answer.').count(), 0);
    await page.context().close();
  });
});
