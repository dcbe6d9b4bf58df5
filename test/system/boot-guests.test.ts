/**
 * Machines that start as real ones do: each loader's firmware log must add up to its TPM's PCRs and name what lay on the
 * disk, and where a loader leaves the log out, that must be said.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  authenticodeDigest,
  type BootEvent,
  type BootLog,
  decodeLog,
  EventType,
  parseBootLog,
  replayBootLog,
} from '../../src/boot/index.ts';
import { toHex } from '../../src/bytes/index.ts';
import { verify } from '../../src/verify/index.ts';
import { SWTPM_BANKS } from '../../src/vtpm/index.ts';
import { attest, attestationFiles, evidenceOf, type GuestChallenge } from '../guest/attestation.ts';
import {
  type BootWay,
  grubAlone,
  shimAndGrub,
  systemdBootAndEntry,
  systemdBootAndUki,
  ukiAlone,
} from '../guest/boot-way.ts';
import { changedKernel } from '../guest/changed-kernel.ts';
import { machineOwnerKey, makeImageKey, signImage, snakeoilKey } from '../guest/firmware.ts';
import { type Boot, type BootOptions, type Guest, makeGuest } from '../guest/guest.ts';
import { handedKernel } from '../guest/handed-kernel.ts';
import { keepBootLog } from '../guest/lists.ts';
import { keepPcrs, parsePcrs } from '../guest/pcrs.ts';
import { nodeTree, projectTree } from '../guest/tree.ts';
import { requires, requiresPath } from './requirements.ts';

const machine = ['swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox'] as const;
const images = ['sfdisk', 'mkfs.vfat', 'mcopy', 'objcopy', 'sbsign', 'sbattach', 'openssl'] as const;
const programs = requires(...machine, ...images);
const kernel = requiresPath('ASSAY_GUEST_KERNEL', 'Debian package linux-image-cloud-amd64');
const loaders = requiresPath('ASSAY_BOOT_LOADERS', 'folder of tools/boot-loaders');
const where = { skip: programs.skip || kernel.skip || loaders.skip, timeout: 600_000 };

const commandLine = ['quiet'];
const evidence = [keepBootLog('boot'), keepPcrs('pcrs', SWTPM_BANKS)];

const IMA_PCR = '10';
/** Never extended: zeros, or ones where only a dynamic launch may extend (TCG PC Client Platform TPM Profile, PCR attributes). */
const UNTOUCHED = /^(0+|f+)$/;

const logOf = (boot: Boot): BootLog => parseBootLog(boot.file('boot'));

/**
 * Every PCR of every bank that the kernel's IMA does not own: the log's value, or untouched where the log has no event of
 * it. Every event is in the form of its type.
 */
function assertLogReplays(boot: Boot, touched: readonly number[]): BootLog {
  const log = logOf(boot);
  const replayed = replayBootLog(log);
  const kept = parsePcrs(boot.file('pcrs').toString());
  assert.deepEqual(Object.keys(kept).sort(), [...SWTPM_BANKS].sort());
  for (const bank of SWTPM_BANKS) {
    for (const [pcr, value] of Object.entries(kept[bank] ?? {})) {
      const expected = replayed[bank]?.[pcr];
      if (pcr === IMA_PCR) continue;
      if (expected === undefined) assert.match(value, UNTOUCHED, `${bank} PCR ${pcr}`);
      else assert.equal(value, expected, `${bank} PCR ${pcr}`);
    }
  }
  assert.deepEqual(Object.keys(replayed.sha256 ?? {}).map(Number), touched);
  const undecodable = decodeLog(log).filter(
    ({ payload, vouched }) => payload.kind === 'undecodable' || vouched === 'differs',
  );
  assert.deepEqual(undecodable, []);
  return log;
}

const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const fileDigest = (path: string): string => sha256(readFileSync(path));

function sha256Of(event: BootEvent): string {
  const found = event.digests.find(({ algorithm }) => algorithm === 'sha256');
  assert.ok(found, `event ${event.index} has a SHA-256 digest`);
  return toHex(found.value);
}

const digestsOf = (log: BootLog, pcr: number, type: number): string[] =>
  log.events.filter((event) => event.pcr === pcr && event.type === type).map(sha256Of);

/** Names of the variables that vouched for an image. */
const authorities = (log: BootLog): string[] =>
  decodeLog(log).flatMap(({ type, payload }) =>
    type === EventType.EV_EFI_VARIABLE_AUTHORITY && payload.kind === 'variable' ? [payload.name] : [],
  );

/** The digests of the images that the firmware loaded, named by the files of the disk that have them. */
function imagesLoaded(boot: Boot): string[] {
  const names = new Map<string, string>();
  for (const [path, file] of Object.entries(boot.esp)) {
    if (isPortableExecutable(file)) names.set(authenticode(file), path);
  }
  const { kernel: linux } = boot.payload;
  const inside = authenticode(linux);
  if (!names.has(inside)) names.set(inside, 'the kernel');
  const digests = digestsOf(logOf(boot), 4, EventType.EV_EFI_BOOT_SERVICES_APPLICATION);
  return digests.map((value) => names.get(value) ?? value);
}

const isPortableExecutable = (file: string): boolean => readFileSync(file).toString('latin1', 0, 2) === 'MZ';
const authenticode = (file: string): string => toHex(authenticodeDigest(readFileSync(file), 'sha256'));

/** PCRs that differ between two boots, in the SHA-256 bank. */
function differingPcrs(one: Boot, other: Boot): string[] {
  const [was = {}, is = {}] = [one, other].map((boot) => parsePcrs(boot.file('pcrs').toString()).sha256);
  return Object.keys(was).filter((pcr) => pcr !== IMA_PCR && was[pcr] !== is[pcr]);
}

describe('a guest that systemd-boot starts from a unified kernel image, signed with own keys', where, () => {
  let folder: string;
  let guest: Guest;
  let boot: Boot;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'assay-keys-'));
    guest = await makeGuest({ kernel: 'debian', tree: {}, banks: SWTPM_BANKS, keys: 'snakeoil' });
    const key = await snakeoilKey(folder);
    let signed = 0;
    const sign = (image: string) => signImage(key, image, join(folder, `signed-${signed++}`));
    boot = await guest.boot({ commandLine, way: systemdBootAndUki(sign), script: evidence });
  });
  after(async () => {
    await guest?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  test('its log replays to the PCRs', () => {
    const log = assertLogReplays(boot, [0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 12]);
    assert.deepEqual(authorities(log), ['db']);
  });

  test('PCR 4 has the loader and the image', () => {
    assert.deepEqual(imagesLoaded(boot), ['/EFI/BOOT/BOOTX64.EFI', '/EFI/Linux/assay.efi']);
  });

  test('PCR 11 has the name and the content of each section', () => {
    const { kernel: linux, initramfs, commandLine: text } = boot.payload;
    const expected = [
      ['.linux', fileDigest(linux)],
      ['.cmdline', sha256(text)],
      ['.initrd', fileDigest(initramfs)],
    ] as const;
    const digests = digestsOf(logOf(boot), 11, EventType.EV_IPL);
    for (const [name, content] of expected) {
      const at = digests.indexOf(sha256(`${name}\0`));
      assert.ok(at >= 0, `${name} is named`);
      assert.equal(digests[at + 1], content, name);
    }
  });
});

describe('a guest without Secure Boot keys, booted again and again', where, () => {
  let folder: string;
  let guest: Guest;
  let entry: Boot;
  const bootBy = (way: BootWay, more: Partial<BootOptions> = {}): Promise<Boot> =>
    guest.boot({ commandLine, way, script: evidence, ...more });
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'assay-parts-'));
    guest = await makeGuest({ kernel: 'debian', tree: {}, banks: SWTPM_BANKS });
    entry = await bootBy(systemdBootAndEntry());
  });
  after(async () => {
    await guest?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  test('systemd-boot with an entry: its log replays to the PCRs', () => {
    const log = assertLogReplays(entry, [0, 1, 2, 3, 4, 5, 6, 7, 9, 12]);
    assert.deepEqual(authorities(log), []);
    assert.deepEqual(imagesLoaded(entry), ['/EFI/BOOT/BOOTX64.EFI', '/vmlinuz']);
  });

  test('a unified kernel image that the firmware starts: its log replays to the PCRs', async () => {
    const boot = await bootBy(ukiAlone());
    assertLogReplays(boot, [0, 1, 2, 3, 4, 5, 6, 7, 9, 11]);
    assert.deepEqual(imagesLoaded(boot), ['/EFI/BOOT/BOOTX64.EFI', 'the kernel']);
  });

  test('a kernel that QEMU hands over: its log replays to the PCRs, and PCR 4 has it as QEMU changed it', async () => {
    const boot = await guest.boot({ commandLine, script: evidence });
    const log = assertLogReplays(boot, [0, 1, 2, 3, 4, 5, 6, 7, 9]);
    const handed = toHex(authenticodeDigest(handedKernel(boot.payload), 'sha256'));
    assert.deepEqual(digestsOf(log, 4, EventType.EV_EFI_BOOT_SERVICES_APPLICATION), [handed]);
  });

  test('each change moves its own PCRs and no other', async () => {
    const way = systemdBootAndEntry();
    const second = { files: await way(entry.payload, folder), order: 'before' } as const;
    const changedBoots: readonly (readonly [string, Partial<BootOptions>, readonly string[]])[] = [
      ['command line', { commandLine: ['quiet', 'init=/bin/sh'] }, ['9', '12']],
      ['network card', { attached: [{ network: 'e1000e' }] }, ['1', '2']],
      ['boot order', { second }, ['1', '5']],
    ];
    for (const [name, change, expected] of changedBoots) {
      const boot = await bootBy(way, change);
      assertLogReplays(boot, [0, 1, 2, 3, 4, 5, 6, 7, 9, 12]);
      assert.deepEqual(differingPcrs(entry, boot), expected, name);
    }
  });
});

describe('a guest that shim and GRUB start under Microsoft’s keys', where, () => {
  let folder: string;
  let guest: Guest;
  let boot: Boot;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'assay-keys-'));
    guest = await makeGuest({ kernel: 'debian', tree: {}, banks: SWTPM_BANKS, keys: 'microsoft' });
    boot = await guest.boot({ commandLine, way: shimAndGrub, script: evidence });
  });
  after(async () => {
    await guest?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  test('its log replays to the PCRs', () => {
    const log = assertLogReplays(boot, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14]);
    assert.deepEqual(authorities(log), ['db', 'SbatLevel', 'MokListRT']);
  });

  test('PCR 4 has shim, GRUB and the kernel, which shim and the firmware measure', () => {
    assert.deepEqual(imagesLoaded(boot), ['/EFI/BOOT/BOOTX64.EFI', '/EFI/BOOT/grubx64.efi', '/vmlinuz', '/vmlinuz']);
  });

  test('PCR 9 has the files that GRUB read, PCR 8 the command line', () => {
    const log = logOf(boot);
    const files = digestsOf(log, 9, EventType.EV_IPL);
    const { kernel: linux, initramfs, commandLine: text } = boot.payload;
    for (const path of [linux, initramfs]) assert.ok(files.includes(fileDigest(path)), path);
    assert.ok(digestsOf(log, 8, EventType.EV_IPL).includes(sha256(`/vmlinuz ${text}`)));
  });

  test('a kernel signed by an enrolled machine owner key starts, and the key is in PCR 7 and 14', async () => {
    const key = await makeImageKey(folder, 'machine-owner');
    const changed = await changedKernel(boot.payload.kernel, join(folder, 'changed'));
    const second = await guest.boot({
      ...{ commandLine, way: shimAndGrub, script: evidence },
      kernel: await signImage(key, changed, join(folder, 'signed')),
      variables: [await machineOwnerKey(key)],
    });
    const log = assertLogReplays(second, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14]);
    assert.deepEqual(authorities(log), ['db', 'SbatLevel', 'MokListRT', 'MokListRT']);
    assert.deepEqual(differingPcrs(boot, second), ['4', '7', '9', '14']);
  });
});

describe('a guest that GRUB starts without shim', where, () => {
  const challenge = {
    nonce: toHex(randomBytes(32)),
    request: {
      selection: { bank: 'sha256', pcrs: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10] },
      imaOffset: 0,
      bootLog: 'bytes',
      userspaceLogOffset: 0,
    },
  } as const satisfies GuestChallenge;
  let guest: Guest;
  let boot: Boot;
  before(async () => {
    const tree = { ...nodeTree(), ...projectTree() };
    guest = await makeGuest({ kernel: 'debian', tree, banks: ['sha256'], diskMegabytes: 400 });
    const script = [...attest, keepPcrs('pcrs', ['sha256'])];
    const files = attestationFiles({ evidence: challenge });
    boot = await guest.boot({ commandLine: ['ima_policy=tcb'], way: grubAlone, script, files });
  });
  after(() => guest?.[Symbol.asyncDispose]());

  test('GRUB measured, but the kernel has no log: that is said, and why', () => {
    const { sha256: kept = {} } = parsePcrs(boot.file('pcrs').toString());
    for (const pcr of [4, 8, 9]) assert.doesNotMatch(kept[pcr] ?? '', UNTOUCHED, `PCR ${pcr}`);
    const { findings, verified } = verify({
      evidence: evidenceOf(boot, 'evidence'),
      reference: undefined,
      state: undefined,
      enrolment: {
        hostId: 'guest',
        akPublic: boot.file('ak'),
        selection: challenge.request.selection,
        measurer: 'kernel',
        assurance: 'swtpm',
      },
      nonce: Buffer.from(challenge.nonce, 'hex'),
      now: Date.now(),
    });
    assert.equal(verified, true);
    const [found, ...others] = findings.filter(({ code }) => code === 'boot.no-log');
    assert.deepEqual(others, []);
    assert.match(found?.message ?? '', /boot loader did not hand the firmware log on.*GRUB without shim/);
  });
});
