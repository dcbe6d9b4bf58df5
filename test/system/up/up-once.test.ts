/** `assay up --once --json` on this machine: the shape that scripts rely on, and findings of a first run that are true. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { manufactureSwtpm, Swtpm } from '../../../src/vtpm/index.ts';
import { requires } from '../requirements.ts';
import { ASSAY, assay, type Ended, Spawned } from './assay.ts';

interface Found {
  readonly code: string;
  readonly subject: string;
  readonly message: string;
}

interface Said {
  readonly host: string;
  readonly verdict: string;
  readonly assurance: string;
  readonly findings: readonly Found[];
  readonly measured: number;
  readonly tpm: string;
  readonly id: string;
}

const EXIT_CODES: Readonly<Record<string, number>> = { trusted: 0, warning: 0, untrusted: 1, unknown: 3 };

/** One JSON document and nothing beside it, and the exit code that its verdict asks for. */
function said({ status, stdout, stderr }: Ended): Said {
  assert.equal(stderr, '');
  assert.match(stdout, /^\{.*\}\n$/);
  const value: Said = JSON.parse(stdout);
  assert.equal(status, EXIT_CODES[value.verdict], stdout);
  const failures = value.findings.filter(({ code }) => /^(quote|clock|evidence)\.|^ima\.(?!user-space)/.test(code));
  assert.deepEqual(failures, []);
  return value;
}

const about = ({ findings }: Said, subject: string): Found[] => findings.filter((found) => found.subject === subject);

describe('assay up --once --json', { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-up-'));
  const place = (name: string): string => join(folder, name);
  const software = { ASSAY_TPM: `software:${place('software-tpm')}` };
  const running: ChildProcess[] = [];

  /** A copy of a harmless program, running. */
  async function start(name: string): Promise<ChildProcess> {
    copyFileSync('/usr/bin/sleep', place(name));
    const child = spawn(place(name), ['600'], { stdio: 'ignore' });
    await once(child, 'spawn');
    running.push(child);
    return child;
  }

  before(async () => {
    await start('unowned');
    await start('replaced');
    await sleep(100); // the new process has left the shell's image
    copyFileSync('/usr/bin/true', place('replaced.new'));
    renameSync(place('replaced.new'), place('replaced'));
  });

  after(async () => {
    for (const child of running) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  test('says what scripts rely on, with the software TPM', async () => {
    const result = said(await assay(['up', '--once', '--json', '--data', place('data')], software));
    assert.equal(typeof result.host, 'string');
    assert.deepEqual([result.assurance, result.tpm], ['demonstration', 'software']);
    assert.ok(result.measured >= 10, `${result.measured} measured`);
    assert.notEqual(result.verdict, 'trusted', 'a demonstration is a warning at most');
    for (const { code, subject, message } of result.findings) {
      assert.match(code, /^[a-z]+(\.[a-z-]+)+$/);
      assert.ok(subject.length > 0 && message.length > subject.length, message);
    }
    const codes = result.findings.map(({ code }) => code);
    for (const code of ['tpm.demonstration', 'reference.self', 'boot.no-reference'])
      assert.ok(codes.includes(code), code);
  });

  test('a program that no package owns is named', async () => {
    const result = said(await assay(['up', '--once', '--json', '--data', place('data')], software));
    assert.deepEqual(
      about(result, place('unowned')).map(({ code }) => code),
      ['file.unpackaged'],
      JSON.stringify(result.findings),
    );
  });

  test('a process that still runs a replaced program is named, with its number', async () => {
    const result = said(await assay(['up', '--once', '--json', '--data', place('data')], software));
    const [found] = about(result, place('replaced'));
    assert.equal(found?.code, 'process.deleted-file', JSON.stringify(result.findings));
    assert.match(found.message, new RegExp(`\\b${running[1]?.pid}\\b`));
  });

  test('the next run keeps the enrolment', async () => {
    const enrolment = readFileSync(place('data/agent/enrolment.json'), 'utf8');
    const next = said(await assay(['up', '--once', '--json', '--data', place('data')], software));
    assert.equal(readFileSync(place('data/agent/enrolment.json'), 'utf8'), enrolment);
    assert.equal(next.id, JSON.parse(enrolment).hostId);
  });

  test(
    'a program that its package did not ship so makes the machine untrusted',
    requires('unshare', 'dpkg-query'),
    async () => {
      // In a mount namespace of its own, so that nobody else sees the changed program.
      const script = `cp /usr/bin/tac ${place('tac')} && echo changed >>${place('tac')} && mkfifo ${place('fifo')}
      mount --bind ${place('tac')} /usr/bin/tac && exec 9<>${place('fifo')}
      /usr/bin/tac <&9 >/dev/null & "$@" 9>&-; status=$?; kill $!; exit $status`;
      const own = process.getuid?.() === 0 ? '-m' : '-rm';
      const up = [ASSAY, 'up', '--once', '--json', '--data', place('changed')];
      const run = new Spawned(['unshare', own, 'sh', '-c', script, 'sh', ...up], {
        ASSAY_TPM: `software:${place('other-tpm')}`,
      });
      const result = said(await run.ended);
      assert.equal(result.verdict, 'untrusted');
      const [found] = about(result, '/usr/bin/tac');
      assert.equal(found?.code, 'file.package-modified', JSON.stringify(result.findings));
      assert.match(found.message, /coreutils/);
    },
  );

  test('with a real swtpm under a configured CA the assurance is swtpm', requires('swtpm', 'swtpm_setup'), async () => {
    const made = await manufactureSwtpm({ state: place('tpm'), authority: place('ca') });
    await using _tpm = await Swtpm.start({
      state: made.state,
      control: place('control'),
      data: { path: place('socket') },
      endsWithParent: true,
    });
    const tpm = ['--tpm', `swtpm:path=${place('socket')}`];
    const roots = ['--swtpm-root', made.rootCertificate, '--swtpm-root', made.issuerCertificate];
    const up = ['up', '--once', '--json', '--data', place('swtpm-data'), ...tpm];
    const result = said(await assay([...up, ...roots]));
    assert.deepEqual([result.assurance, result.tpm], ['swtpm', 'swtpm']);
    assert.ok(!result.findings.some(({ code }) => code === 'tpm.demonstration'));
    assert.ok(result.findings.some(({ code }) => code === 'ima.user-space'));
  });

  test('what cannot be is said in one line, with exit 2, or 3 where a part is not there', async () => {
    const away = await assay(['up', '--once', '--data', place('none'), '--tpm', `swtpm:path=${place('nowhere')}`]);
    assert.deepEqual([away.status, away.stdout], [3, '']);
    assert.match(away.stderr, /^assay: [^\n]*nowhere[^\n]*\n$/);
    const wrong = await assay(['up', '--once', '--json', '--data', place('none'), '--tpm', 'chip:0']);
    assert.equal(wrong.status, 2);
    assert.equal(JSON.parse(wrong.stdout).error.code, 'tpm.argument');
  });
});
