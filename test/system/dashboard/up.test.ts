/** `assay up` and its page, as a person has them: a real TPM program, this machine's files, a click. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { chromium } from 'playwright-core';
import { manufactureSwtpm, Swtpm } from '../../../src/vtpm/index.ts';
import { requires } from '../requirements.ts';
import { BROWSER, WEB_ROOT } from './browser.ts';

const ASSAY = join(import.meta.dirname, '../../../bin/assay');

/** The link that it prints; what it says after that is read too, so that it never waits for its reader. */
function linkOf(up: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    up.stdout?.on('data', (part: Buffer) => {
      said += part.toString();
      const link = /http:\/\/127\.0\.0\.1:\d+\/enter\?token=\S+/.exec(said)?.[0];
      if (link !== undefined) resolve(link);
    });
    up.once('exit', () => reject(new Error(`assay up ended without a link: ${said}`)));
  });
}

test('the page of assay up: a click changes a real program, and the link turns red in under a second', {
  ...requires('chromium', 'swtpm', 'swtpm_setup'),
  timeout: 120_000,
}, async (t) => {
  assert.ok(existsSync(join(WEB_ROOT, 'index.html')), 'web/dist is not built: npm run build:web');
  const folder = await mkdtemp(join(tmpdir(), 'assay-up-page-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const at = (name: string): string => join(folder, name);
  const made = await manufactureSwtpm({ state: at('state'), authority: at('ca'), banks: ['sha256'] });
  await using _swtpm = await Swtpm.start({ state: made.state, control: at('s.ctrl'), data: { path: at('s') } });
  const up = spawn(ASSAY, ['up', '--tpm', `swtpm:path=${at('s')}`, '--data', at('data'), '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(up, 'exit');
  const browser = await chromium.launch(BROWSER);
  try {
    const page = await (await browser.newContext()).newPage();
    await page.goto(await linkOf(up));
    await page.waitForSelector('.link[data-state="live"]');
    assert.match((await page.textContent('.demonstrating')) ?? '', /does not protect/);
    const before = await page.getAttribute('[data-link="files"]', 'data-state');
    assert.notEqual(before, 'broken');
    await page.click('button:text-is("Change it and run it")');
    await page.waitForSelector('[data-link="files"][data-state="broken"]');
    const program = (await page.textContent('.trial .path')) ?? '';
    assert.ok(program.startsWith(at('data')), program);
    assert.match((await page.textContent('.cause')) ?? '', new RegExp(`other content than expected: ${program}$`));
    const note = await (await page.waitForSelector('.trial-note:not(:empty)')).textContent();
    assert.ok(Number(/(\d+) ms/.exec(note ?? '')?.[1]) < 1000, note ?? '');
    await page.click('button:text-is("Undo")');
    await page.waitForSelector('[data-link="files"]:not([data-state="broken"])');
  } finally {
    await browser.close();
    up.kill('SIGTERM');
    await ended;
  }
});
