/**
 * Machines that start as real ones do: each loader's firmware log must add up to its TPM's PCRs and name what lay on the
 * disk, and where a loader leaves the log out, that must be said.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { EventType, predictBoot } from '../../src/boot/index.ts';
import { toHex } from '../../src/bytes/index.ts';
import { verify } from '../../src/verify/index.ts';
import { SWTPM_BANKS } from '../../src/vtpm/index.ts';
import { attest, attestationFiles, evidenceOf, type GuestChallenge } from '../guest/attestation.ts';
import {
  assertLogReplays,
  authorities,
  bootEvidence,
  differingPcrs,
  digestsOf,
  fileDigest,
  imagesLoaded,
  logOf,
  namedChanges,
  sha256,
  UNTOUCHED,
} from '../guest/boot-judgement.ts';
import {
  type BootWay,
  DEBIAN_CONFIGURATION,
  DEBIAN_KERNEL,
  grubAlone,
  type Sign,
  shimAndDebianGrub,
  systemdBootAndEntry,
  systemdBootAndUki,
  ukiAlone,
} from '../guest/boot-way.ts';
import { changedKernel } from '../guest/changed-kernel.ts';
import { describedBoot } from '../guest/described-boot.ts';
import { LINUX_UUID } from '../guest/esp.ts';
import { grownDatabase, machineOwnerKey, makeImageKey, signImage, snakeoilKey } from '../guest/firmware.ts';
import { foresee } from '../guest/foresight.ts';
import { type Boot, type BootOptions, type Guest, makeGuest } from '../guest/guest.ts';
import { keepPcrs, parsePcrs } from '../guest/pcrs.ts';
import { OUT, type Step, shell } from '../guest/script.ts';
import { GUEST_PROJECT, nodeTree, projectTree } from '../guest/tree.ts';
import { requires, requiresPath } from './requirements.ts';

const machine = ['swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox'] as const;
const images = ['sfdisk', 'mkfs.vfat', 'mcopy', 'objcopy', 'sbsign', 'sbattach', 'openssl'] as const;
const programs = requires('tpm2_eventlog', ...machine, ...images);
const kernel = requiresPath('ASSAY_GUEST_KERNEL', 'Debian package linux-image-cloud-amd64');
const loaders = requiresPath('ASSAY_BOOT_LOADERS', 'folder of tools/boot-loaders');
const where = { skip: programs.skip || kernel.skip || loaders.skip, timeout: 600_000 };

const commandLine = ['quiet'];
const CHANGED_LINE = ['quiet', 'init=/bin/sh'];

/** One more page of zeros, which the kernel passes over between archives. */
function longerInitramfs(boot: Boot, folder: string): string {
  const place = join(folder, 'initramfs');
  writeFileSync(place, Buffer.concat([readFileSync(boot.payload.initramfs), Buffer.alloc(4096)]));
  return place;
}

describe('a guest that systemd-boot starts from a unified kernel image, signed with own keys', where, () => {
  let folder: string;
  let guest: Guest;
  let boot: Boot;
  let sign: Sign;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'assay-keys-'));
    guest = await makeGuest({ kernel: 'debian', tree: {}, banks: SWTPM_BANKS, keys: 'snakeoil' });
    const key = await snakeoilKey(folder);
    let signed = 0;
    sign = (image) => signImage(key, image, join(folder, `signed-${signed++}`));
    boot = await guest.boot({ commandLine, way: systemdBootAndUki(sign), script: bootEvidence });
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

  test('with another kernel, initramfs, command line and database of keys the PCRs are those that its files, the keys and the first log predict', async () => {
    const key = await makeImageKey(folder, 'new');
    const db = await grownDatabase(guest.variables, key);
    const foresight = foresee(guest, boot, { variables: { db: db.data } });
    const second = await guest.boot({
      ...{ commandLine: CHANGED_LINE, script: bootEvidence, variables: [db], beforeStart: foresight.beforeStart },
      // The loader alone is signed by the new key: each certificate vouches for an image.
      way: systemdBootAndUki((image) =>
        image.includes('systemd-boot') ? signImage(key, image, join(folder, 'new-loader')) : sign(image),
      ),
      kernel: await changedKernel(boot.payload.kernel, join(folder, 'changed')),
      initramfs: longerInitramfs(boot, folder),
    });
    assert.deepEqual(authorities(logOf(second)), ['db', 'db']);
    assert.deepEqual(differingPcrs(boot, second), ['4', '7', '9', '11', '12']);
    assert.deepEqual(namedChanges(boot, second), [
      'authority',
      'command-line',
      'initrd',
      'kernel',
      'secure-boot-keys',
      'uki',
    ]);
    assert.deepEqual(foresight.mispredicted(second), []);
  });
});

describe('a guest without Secure Boot keys, booted again and again', where, () => {
  let folder: string;
  let guest: Guest;
  let entry: Boot;
  const bootBy = (way: BootWay, more: Partial<BootOptions> = {}): Promise<Boot> =>
    guest.boot({ commandLine, way, script: bootEvidence, ...more });
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

  test('a unified kernel image that the firmware starts: its log replays to the PCRs, which another image’s follow', async () => {
    const boot = await bootBy(ukiAlone());
    assertLogReplays(boot, [0, 1, 2, 3, 4, 5, 6, 7, 9, 11]);
    assert.deepEqual(imagesLoaded(boot), ['/EFI/BOOT/BOOTX64.EFI', 'the kernel']);
    const foresight = foresee(guest, boot);
    const second = await bootBy(ukiAlone(), { commandLine: CHANGED_LINE, beforeStart: foresight.beforeStart });
    assert.deepEqual(differingPcrs(boot, second), ['4', '9', '11']);
    assert.deepEqual(foresight.mispredicted(second), []);
  });

  test('a kernel that QEMU hands over: its log replays to the PCRs, and another kernel, line and initramfs are named and foreseen', async () => {
    const direct = { commandLine, script: bootEvidence };
    const boot = await guest.boot(direct);
    assertLogReplays(boot, [0, 1, 2, 3, 4, 5, 6, 7, 9]);
    const changes = [
      {
        options: {
          kernel: await changedKernel(boot.payload.kernel, join(folder, 'changed')),
          commandLine: CHANGED_LINE,
        },
        named: ['command-line', 'kernel'],
      },
      // QEMU writes the initramfs' size into the kernel: PCR 4 moves with it.
      { options: { initramfs: longerInitramfs(boot, folder) }, named: ['handed-kernel', 'initrd'] },
    ];
    for (const { options, named } of changes) {
      const { beforeStart, mispredicted } = foresee(guest, boot);
      const second = await guest.boot({ ...direct, ...options, beforeStart });
      assert.deepEqual(differingPcrs(boot, second), ['4', '9']);
      assert.deepEqual(namedChanges(boot, second), named);
      assert.deepEqual(mispredicted(second), []);
    }
  });

  /** `unforeseen`: what the files do not tell. */
  const changes: readonly {
    readonly what: string;
    readonly change: () => Promise<Partial<BootOptions>>;
    readonly moves: readonly string[];
    /** By `boot diff`. */
    readonly named: readonly string[];
    readonly unforeseen: readonly string[];
  }[] = [
    {
      what: 'another command line',
      change: async () => ({ commandLine: CHANGED_LINE }),
      moves: ['9', '12'],
      named: ['command-line'],
      unforeseen: [],
    },
    {
      what: 'a network card',
      change: async () => ({ attached: [{ network: 'e1000e' }] }),
      moves: ['1', '2'],
      named: ['boot-option', 'boot-order', 'option-rom'],
      unforeseen: ['1', '2'],
    },
    {
      what: 'another boot order',
      change: async () => ({ second: { files: await systemdBootAndEntry()(entry.payload, folder), order: 'before' } }),
      moves: ['1', '5'],
      named: ['boot-option', 'boot-order', 'partition-table'],
      // The table of the disk that is then first is known.
      unforeseen: ['1'],
    },
  ];
  for (const { what, change, moves, named, unforeseen } of changes) {
    test(`${what} moves PCR ${moves.join(' and ')} alone`, async () => {
      const { beforeStart, mispredicted } = foresee(guest, entry);
      const boot = await bootBy(systemdBootAndEntry(), { ...(await change()), beforeStart });
      assertLogReplays(boot, [0, 1, 2, 3, 4, 5, 6, 7, 9, 12]);
      assert.deepEqual(differingPcrs(entry, boot), moves);
      assert.deepEqual(namedChanges(entry, boot), named);
      assert.deepEqual(mispredicted(boot), unforeseen);
    });
  }
});

describe(
  'a guest that shim and GRUB start under Microsoft’s keys, configured as Debian’s grub-mkconfig does',
  where,
  () => {
    let folder: string;
    let guest: Guest;
    let boot: Boot;
    /** grub-mkconfig's own name of the recovery entry's submenu, and what Secure Boot has GRUB read but not take. */
    const CHANGED_GRUB = {
      environment: `next_entry=gnulinux-advanced-${LINUX_UUID}>1\n`,
      custom: 'insmod hello\nif loadfont $prefix/fonts/unicode.pf2; then set font=disk; else set font=none; fi\n',
    };
    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'assay-keys-'));
      guest = await makeGuest({ kernel: 'debian', tree: {}, banks: SWTPM_BANKS, keys: 'microsoft' });
      boot = await guest.boot({ commandLine, way: shimAndDebianGrub(), script: bootEvidence });
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
      const [shim, grub] = ['/EFI/BOOT/BOOTX64.EFI', '/EFI/BOOT/grubx64.efi'];
      assert.deepEqual(imagesLoaded(boot), [shim, grub, DEBIAN_KERNEL, DEBIAN_KERNEL]);
    });

    test('PCR 9 has the files that GRUB read, PCR 8 the command line', () => {
      const log = logOf(boot);
      const files = digestsOf(log, 9, EventType.EV_IPL);
      const { kernel: linux, initramfs } = boot.payload;
      const configuration = boot.esp[DEBIAN_CONFIGURATION] ?? '';
      for (const path of [linux, initramfs, configuration]) assert.ok(files.includes(fileDigest(path)), path);
      const [, line = ''] = /^\tlinux\t(.*)$/m.exec(readFileSync(configuration, 'utf8')) ?? [];
      assert.ok(digestsOf(log, 8, EventType.EV_IPL).includes(sha256(line)), line);
    });

    test('a kernel signed by an enrolled machine owner key starts from a saved submenu entry, and the PCRs are those that the files and the key predict', async () => {
      const key = await makeImageKey(folder, 'machine-owner');
      const changed = await changedKernel(boot.payload.kernel, join(folder, 'changed'));
      const mokList = await machineOwnerKey(key);
      const { beforeStart, mispredicted } = foresee(guest, boot, { mokList });
      const second = await guest.boot({
        ...{ commandLine: CHANGED_LINE, way: shimAndDebianGrub(CHANGED_GRUB), script: bootEvidence, beforeStart },
        kernel: await signImage(key, changed, join(folder, 'signed')),
        initramfs: longerInitramfs(boot, folder),
        variables: [mokList],
      });
      const log = assertLogReplays(second, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14]);
      assert.deepEqual(authorities(log), ['db', 'SbatLevel', 'MokListRT', 'MokListRT']);
      assert.deepEqual(differingPcrs(boot, second), ['4', '7', '8', '9', '14']);
      assert.deepEqual(namedChanges(boot, second), [
        ...['authority', 'command-line', 'grub-commands', 'grub-file', 'initrd', 'kernel', 'mok'],
      ]);
      assert.deepEqual(mispredicted(second), []);
    });
  },
);

/** What a command of Assay's says on standard error, and its exit status behind it. */
const keepRefusal = (name: string, ...words: readonly string[]): Step[] => [
  shell(`/usr/bin/node ${GUEST_PROJECT}/src/cli/main.ts ${words.join(' ')} 2>${OUT}/${name}; echo $? >>${OUT}/${name}`),
];

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
    const script = [...attest, keepPcrs('pcrs', ['sha256']), ...keepRefusal('no-log', 'boot', 'show')];
    const files = attestationFiles({ evidence: challenge });
    boot = await guest.boot({ commandLine: ['ima_policy=tcb'], way: grubAlone, script, files });
  });
  after(() => guest?.[Symbol.asyncDispose]());

  test('GRUB measured as predicted, but the kernel has no log: that is said, and why', () => {
    const { sha256: kept = {} } = parsePcrs(boot.file('pcrs').toString());
    for (const pcr of [4, 8, 9]) assert.doesNotMatch(kept[pcr] ?? '', UNTOUCHED, `PCR ${pcr}`);
    assert.match(
      boot.file('no-log').toString(),
      /^assay: this machine shows no firmware log: the boot loader did not hand the firmware log on.*GRUB without shim.*\n3\n$/s,
    );
    const { pcrs } = predictBoot({ boot: describedBoot(guest, boot), base: undefined });
    assert.deepEqual(pcrs.sha256, { 8: kept[8], 9: kept[9] });
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
