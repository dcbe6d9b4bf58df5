/**
 * The judge kernel (Linux 6.12 with every integrity feature on) writes lists in every template; what we replay must equal
 * PCR 10 of the guest's TPM in every bank.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ListReplay } from '../../src/ima/index.ts';
import { SWTPM_BANKS, type SwtpmBank } from '../../src/vtpm/index.ts';
import { type Boot, type Guest, makeGuest } from '../guest/guest.ts';
import { keepList, keepListIn } from '../guest/lists.ts';
import { keepPcrs, parsePcrs } from '../guest/pcrs.ts';
import { run, type Step, whileReading, whileWriting, write } from '../guest/script.ts';
import { program } from '../guest/tree.ts';
import { requires, requiresPath } from '../system/requirements.ts';

const programs = requires('swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox');
const kernel = requiresPath('ASSAY_JUDGE_KERNEL', 'judge kernel');

const NEWLINE = '/srv/line\nbreak';
const tree = {
  '/usr/bin/greet': program('echo hello'),
  '/usr/bin/two words': program('echo two'),
  [NEWLINE]: program('echo break'),
  '/srv/log': { text: 'one\n' },
  '/srv/notes': { text: 'two\n' },
  '/srv/first': { text: 'first\n' },
  '/srv/second': { text: 'second\n' },
  '/srv/third': { text: 'third\n' },
};

/** What is measured in each boot. */
const work: readonly Step[] = [run('greet'), run('two words'), run(NEWLINE)];
const TCB = ['ima_policy=tcb', 'ima_hash=sha256'];

/** The end of each script; it runs nothing that is not measured yet, so list and PCRs belong together. */
const evidence: readonly Step[] = [
  keepList('list'),
  ...SWTPM_BANKS.map((bank) => keepListIn(bank, `list-${bank}`)),
  keepPcrs('pcrs', SWTPM_BANKS),
];

function replayOf(list: Buffer): ListReplay {
  const replay = new ListReplay({ banks: SWTPM_BANKS });
  assert.equal(replay.run(list).consumed, list.length);
  return replay;
}

/** The list in its default form and in that of each algorithm: all give the PCRs that the TPM has. */
function assertReplays(boot: Boot, pcrs: readonly number[] = [10]): ListReplay {
  const kept = parsePcrs(boot.file('pcrs').toString());
  const inTpm = (bank: SwtpmBank) => Object.fromEntries(pcrs.map((pcr) => [`${pcr}`, kept[bank]?.[pcr]]));
  const expected = Object.fromEntries(SWTPM_BANKS.map((bank) => [bank, inTpm(bank)]));
  for (const name of ['list', ...SWTPM_BANKS.map((bank) => `list-${bank}`)]) {
    const replay = replayOf(boot.file(name));
    assert.deepEqual(replay.pcrs(), expected, name);
    assert.deepEqual(replay.badTemplateDigests, [], name);
  }
  return replayOf(boot.file('list'));
}

describe('the judge kernel', { skip: programs.skip || kernel.skip, timeout: 900_000 }, () => {
  let guest: Guest;
  before(async () => {
    guest = await makeGuest({ kernel: 'judge', tree, banks: SWTPM_BANKS });
  });
  after(() => guest?.[Symbol.asyncDispose]());

  const templates = [
    { argument: 'ima_template=ima-ng', name: 'ima-ng' },
    { argument: 'ima_template=ima-sig', name: 'ima-sig' },
    { argument: 'ima_template=ima-ngv2', name: 'ima-ngv2' },
    { argument: 'ima_template=ima-modsig', name: 'ima-modsig' },
    { argument: 'ima_template=evm-sig', name: 'evm-sig' },
    { argument: 'ima_template_fmt=n-ng|imode|d-ngv2|iuid', name: 'n-ng|imode|d-ngv2|iuid' },
  ];
  for (const { argument, name } of templates) {
    test(`${argument}: every list file replays to PCR 10 of every bank`, async () => {
      const boot = await guest.boot({ commandLine: [...TCB, argument], script: [...work, ...evidence] });
      const replay = assertReplays(boot);
      assert.deepEqual([...replay.templates.keys()], [name]);
      assert.equal(replay.violations, 0);
      assert.ok(boot.file('list').includes('/usr/bin/two_words\0'), 'a space becomes _');
      assert.ok(boot.file('list').includes(`${NEWLINE}\0`), 'a newline stays');
    });
  }

  test('the ima template, of the kernels before 3.13, replays', async () => {
    const commandLine = ['ima_policy=tcb', 'ima_hash=sha1', 'ima_template=ima'];
    const replay = assertReplays(await guest.boot({ commandLine, script: [...work, ...evidence] }));
    assert.deepEqual([...replay.templates.keys()], ['ima']);
  });

  test('a file that is written while it is read is a violation, both ways round, and replays', async () => {
    const violations = [
      whileWriting('/srv/log', run('cat', '/srv/log')), // open_writers
      whileReading('/srv/notes', write('/srv/notes', 'changed\n')), // ToMToU
    ];
    const boot = await guest.boot({ commandLine: TCB, script: [...violations, ...work, ...evidence] });
    assert.equal(assertReplays(boot).violations, 2);
    assert.match(boot.console, /hello/);
  });

  test('rules of one policy with templates and PCRs of their own replay', async () => {
    const policy = [
      'measure func=FILE_CHECK mask=MAY_READ fowner=1001 template=ima-modsig',
      'measure func=FILE_CHECK mask=MAY_READ fowner=1002 template=evm-sig pcr=11',
      'measure func=FILE_CHECK mask=MAY_READ fowner=1003 template=ima-sigv2 pcr=12',
    ];
    const script = [
      run('chown', '1001', '/srv/first'),
      run('chown', '1002', '/srv/second'),
      run('chown', '1003', '/srv/third'),
      write('/run/policy', `${policy.join('\n')}\n`),
      run('cp', '/run/policy', '/sys/kernel/security/ima/policy'),
      run('cat', '/srv/first', '/srv/second', '/srv/third'),
    ];
    const boot = await guest.boot({ commandLine: ['ima_hash=sha256'], script: [...script, ...evidence] });
    const replay = assertReplays(boot, [10, 11, 12]);
    assert.deepEqual([...replay.templates.keys()].sort(), ['evm-sig', 'ima-modsig', 'ima-sig', 'ima-sigv2']);
  });
});
