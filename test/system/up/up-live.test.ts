/** `assay up` as it stays: the link into the dashboard, "try it", undo, and a stop that leaves nothing behind. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ASSAY, Spawned } from './assay.ts';
import { DashboardSession } from './dashboard-session.ts';

const WEB_ROOT = join(import.meta.dirname, '../../../web/dist');
const RED_WITHIN_MS = 1000;
const STOPS_WITHIN_MS = 5000;

interface HostBody {
  readonly verdict: string;
  readonly findings: readonly { readonly code: string; readonly subject: string }[];
}

test('a changed program turns the verdict within a second, undo turns it back, SIGTERM ends it', {
  timeout: 60_000,
}, async (t) => {
  assert.ok(existsSync(join(WEB_ROOT, 'index.html')), 'web/dist is not built: npm run build:web');
  const folder = mkdtempSync(join(tmpdir(), 'assay-live-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const up = new Spawned([ASSAY, 'up', '--port', '0', '--data', join(folder, 'data')], {
    ASSAY_TPM: `software:${join(folder, 'tpm')}`,
  });
  t.after(() => up.kill());
  const [link] = await up.says(/http:\/\/127\.0\.0\.1:\d+\/enter\?token=\S+/);
  const session = await DashboardSession.open(link);
  await assert.rejects(DashboardSession.open(link), /token\.used/);

  const { hosts } = await session.get<{ hosts: { id: string; verdict: string }[] }>('/hosts');
  const [{ id, verdict: before } = { id: '', verdict: '' }] = hosts;
  const streams = new AbortController();
  t.after(() => streams.abort());
  const verdicts = await session.verdicts(streams.signal);
  const until = async (isIt: (verdict: string) => boolean): Promise<number> => {
    const began = performance.now();
    for (;;) {
      const { value } = await verdicts.next();
      if (value !== undefined && isIt(value.verdict)) return performance.now() - began;
    }
  };
  const host = () => session.get<HostBody>(`/hosts/${id}`);

  const reds: number[] = [];
  for (let attempt = 0; attempt < 3; attempt++) {
    const turnedRed = until((verdict) => verdict === 'untrusted');
    const { program } = await session.post<{ program: string }>('/demonstration/tamper');
    reds.push(await turnedRed);
    if (attempt === 1) await session.post('/demonstration/tamper'); // from another page: one undo must be enough
    const named = (await host()).findings.find(({ subject }) => subject === program);
    assert.equal(named?.code, 'file.changed');

    const turnedBack = until((verdict) => verdict === before);
    await session.post('/demonstration/undo');
    await turnedBack;
    assert.ok(!(await host()).findings.some(({ subject }) => subject === program));
  }
  t.diagnostic(`untrusted ${reds.map(Math.round).join(', ')} ms after "try it"`);
  // The best of three: a machine that is busy with other tests says little by one.
  assert.ok(Math.min(...reds) < RED_WITHIN_MS, `${reds} ms`);

  const began = performance.now();
  const { stderr } = await up.kill('SIGTERM');
  const stopped = performance.now() - began;
  t.diagnostic(`stopped ${Math.round(stopped)} ms after SIGTERM, with the dashboard's stream open`);
  assert.ok(stopped < STOPS_WITHIN_MS, `${stopped} ms`);
  assert.equal(up.child.signalCode, null);
  assert.equal(stderr, '');
});
