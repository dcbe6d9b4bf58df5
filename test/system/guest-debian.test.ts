/**
 * Debian's unmodified cloud kernel under OVMF with a vTPM: the firmware's log, the kernel's list and the TPM must agree,
 * and a changed file must show.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { EventType, logBanks, parseBootLog, replayBootLog } from '../../src/boot/index.ts';
import { ListReplay } from '../../src/ima/index.ts';
import { SWTPM_BANKS } from '../../src/vtpm/index.ts';
import { type Boot, type Guest, makeGuest } from '../guest/guest.ts';
import { asciiEntries, keepAsciiList, keepBootLog, keepList } from '../guest/lists.ts';
import { keepPcrs, parsePcrs } from '../guest/pcrs.ts';
import { run, runInto, whileReading, whileWriting, write } from '../guest/script.ts';
import { GUEST_PROJECT, nodeTree, program, projectTree } from '../guest/tree.ts';
import { requires, requiresPath } from './requirements.ts';

const programs = requires('swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox');
const kernel = requiresPath('ASSAY_GUEST_KERNEL', 'Debian package linux-image-cloud-amd64');

/** SHA-512 is a module of Debian's kernel ("ima: Can not allocate sha384"). */
const UNALLOCATED = ['sha384', 'sha512'] as const;

const CHANGED = '/usr/bin/greet';
const tree = {
  ...nodeTree(),
  ...projectTree(),
  [CHANGED]: program('echo hello'),
  '/usr/bin/two words': program('echo two'),
  '/srv/log': { text: 'one\n' },
  '/srv/notes': { text: 'two\n' },
};

const commandLine = ['ima_policy=tcb', 'ima_hash=sha256'];
const work = [run(CHANGED), run('two words')];
const evidence = [keepList('list'), keepPcrs('pcrs', SWTPM_BANKS), keepAsciiList('ascii'), keepBootLog('boot')];

const readPcrs = ['node', `${GUEST_PROJECT}/test/guest/inside/read-pcrs.ts`];

function replayOf(boot: Boot): ListReplay {
  const list = boot.file('list');
  const replay = new ListReplay({ banks: SWTPM_BANKS, unallocatedBanks: UNALLOCATED });
  assert.equal(replay.run(list).consumed, list.length);
  return replay;
}

function assertListReplays(boot: Boot): ListReplay {
  const replay = replayOf(boot);
  const kept = parsePcrs(boot.file('pcrs').toString());
  const expected = Object.fromEntries(SWTPM_BANKS.map((bank) => [bank, { 10: kept[bank]?.[10] }]));
  assert.deepEqual(replay.pcrs(), expected);
  assert.deepEqual(replay.badTemplateDigests, []);
  return replay;
}

const digestOf = (boot: Boot, path: string): string | undefined =>
  asciiEntries(boot.file('ascii').toString()).find((entry) => entry.path === path)?.digest;

describe("a guest with Debian's kernel", { skip: programs.skip || kernel.skip, timeout: 900_000 }, () => {
  let guest: Guest;
  let first: Boot;
  before(async () => {
    guest = await makeGuest({ kernel: 'debian', tree, banks: SWTPM_BANKS, diskMegabytes: 400 });
    first = await guest.boot({ commandLine, script: [...work, runInto('read', ...readPcrs), ...evidence] });
  });
  after(() => guest?.[Symbol.asyncDispose]());

  test('the PCRs read through /dev/tpmrm0 are those that the kernel shows in sysfs', () => {
    const read = parsePcrs(first.file('read').toString());
    const kept = parsePcrs(first.file('pcrs').toString());
    assert.deepEqual(read, kept);
  });

  test("the firmware's log replays to the PCRs 0 to 9 that it touches, in every bank", () => {
    const log = parseBootLog(first.file('boot'));
    assert.deepEqual([...logBanks(log)].sort(), [...SWTPM_BANKS].sort());
    const replayed = replayBootLog(log);
    const kept = parsePcrs(first.file('pcrs').toString());
    const touched = Object.keys(replayed.sha256 ?? {});
    for (const pcr of ['0', '1', '4', '5', '7', '9']) assert.ok(touched.includes(pcr), `PCR ${pcr} is in the log`);
    for (const bank of SWTPM_BANKS) {
      for (const pcr of touched) assert.equal(replayed[bank]?.[pcr], kept[bank]?.[pcr], `${bank} PCR ${pcr}`);
    }
  });

  test('command line and initramfs are in PCR 9 as they were given', () => {
    const digests = parseBootLog(first.file('boot'))
      .events.filter(({ type }) => type === EventType.EV_EVENT_TAG)
      .map((event) => event.digests.find(({ algorithm }) => algorithm === 'sha256')?.value);
    // The payload of these events only names them: the digest is that of the loaded bytes (kernel: efi-stub-helper.c).
    const loaded = [Buffer.from(`${guest.loadOptions(commandLine)}\0`, 'utf16le'), readFileSync(guest.initramfs)];
    assert.deepEqual(
      digests,
      loaded.map((bytes) => createHash('sha256').update(bytes).digest()),
    );
  });

  test("the kernel's list replays to PCR 10 of every bank", () => {
    const replay = assertListReplays(first);
    assert.deepEqual([...replay.templates.keys()], ['ima-sig']);
    assert.equal(replay.violations, 0);
    assert.ok(replay.entries > 20, `${replay.entries} entries`);
  });

  test('boot_aggregate is the hash of PCR 0 to 9', () => {
    const { sha256 = {} } = parsePcrs(first.file('pcrs').toString());
    const values = Array.from({ length: 10 }, (_, pcr) => Buffer.from(sha256[pcr] ?? '', 'hex'));
    const aggregate = createHash('sha256').update(Buffer.concat(values)).digest('hex');
    assert.equal(digestOf(first, 'boot_aggregate'), `sha256:${aggregate}`);
  });

  test('measured digests are those of the files', () => {
    const digest = createHash('sha256').update('#!/bin/sh\necho hello\n').digest('hex');
    assert.equal(digestOf(first, CHANGED), `sha256:${digest}`);
  });

  test('after a file was changed its entry differs, and only its; violations replay', async () => {
    await guest.replaceFile(CHANGED, '#!/bin/sh\necho tampered\n');
    const violations = [
      whileWriting('/srv/log', run('cat', '/srv/log')), // open_writers
      whileReading('/srv/notes', write('/srv/notes', 'changed\n')), // ToMToU
    ];
    const second = await guest.boot({ commandLine, script: [...work, ...violations, ...evidence] });
    assert.match(second.console, /tampered/);
    assert.equal(assertListReplays(second).violations, 2);
    const digest = createHash('sha256').update('#!/bin/sh\necho tampered\n').digest('hex');
    assert.equal(digestOf(second, CHANGED), `sha256:${digest}`);
    for (const path of ['/bin/busybox', '/etc/rc', '/usr/bin/two_words']) {
      assert.equal(digestOf(second, path), digestOf(first, path), path);
    }
    const [before, now] = [first, second].map((boot) => parsePcrs(boot.file('pcrs').toString()).sha256);
    assert.notEqual(now?.[10], before?.[10]);
    for (const pcr of [0, 2, 4, 7, 9]) assert.equal(now?.[pcr], before?.[pcr], `PCR ${pcr}`);
  });
});
