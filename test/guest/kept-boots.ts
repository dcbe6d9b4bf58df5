/**
 * Boots of machines, each kept in a folder with its log, its TPM's PCRs and the files that it loaded: made once, judged as
 * often as one likes. What is in the folder already is not made again.
 */
import { execFile } from 'node:child_process';
import { copyFile, cp, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { SWTPM_BANKS } from '../../src/vtpm/index.ts';
import { bootEvidence } from './boot-judgement.ts';
import {
  grubAlone,
  type Sign,
  shimAndDebianGrub,
  shimAndGrub,
  systemdBootAndEntry,
  systemdBootAndUki,
  ukiAlone,
} from './boot-way.ts';
import { changedKernel } from './changed-kernel.ts';
import { LINUX_PARTITION, LINUX_UUID } from './esp.ts';
import {
  guidBytes,
  type ImageKey,
  machineOwnerKey,
  makeImageKey,
  type SecureBootKeys,
  signImage,
  snakeoilKey,
} from './firmware.ts';
import { type Boot, type BootOptions, type Guest, makeGuest } from './guest.ts';
import { keepPcrs, parsePcrs } from './pcrs.ts';
import { IN, keep, OUT, runInto, run as step } from './script.ts';
import { GUEST_PROJECT, nodeTree, programTree, projectTree, type Tree } from './tree.ts';

const run = promisify(execFile);

const QUIET = ['quiet'];
/** Nobody waits for these boots: beside other work they take ten times as long. */
const SECONDS = 600;
const CHANGED_LINE = ['quiet', 'init=/bin/sh'];
/** As systemd-pcrphase does in a boot (units/systemd-pcrphase*.service.in). */
export const PHASES = ['enter-initrd', 'leave-initrd', 'sysinit', 'ready'] as const;

interface Machine {
  /** Debian's unless told. */
  readonly kernel?: 'judge';
  readonly keys: SecureBootKeys;
  readonly tree?: Tree;
  /** In the order in which it makes them. */
  readonly boots: Readonly<Record<string, (tools: Tools) => Promise<Partial<BootOptions>>>>;
}

/** What the boots of one machine are made with. */
interface Tools {
  readonly guest: Guest;
  /** For what they make. */
  readonly folder: string;
  readonly kernel: string;
}

const otherKernel = ({ folder, kernel }: Tools): Promise<string> => changedKernel(kernel, join(folder, 'kernel'));

/** One more page of zeros, which the kernel passes over between archives. */
async function otherInitramfs({ folder, guest }: Tools): Promise<string> {
  const place = join(folder, 'initramfs');
  await writeFile(place, Buffer.concat([await readFile(guest.initramfs), Buffer.alloc(4096)]));
  return place;
}

const uki = systemdBootAndUki();
const NEXT_ENTRY = `next_entry=gnulinux-advanced-${LINUX_UUID}>1\n`;
const CUSTOM = 'insmod hello\nif loadfont $prefix/fonts/unicode.pf2; then set font=disk; else set font=none; fi\n';

async function signedBy(key: (folder: string) => Promise<ImageKey>, { folder }: Tools): Promise<Sign> {
  const pair = await key(folder);
  let signed = 0;
  return (image) => signImage(pair, image, join(folder, `signed-${signed++}`));
}

/** Debian's shim under the test key; `date` is that of its level of SBAT, where it shall be another. */
async function ownShim(tools: Tools, date?: string): Promise<Sign> {
  const sign = await signedBy(snakeoilKey, tools);
  return async (image) => {
    const copy = join(tools.folder, 'shim.efi');
    await copyFile(image, copy);
    await run('sbattach', ['--remove', copy]);
    if (date !== undefined) await raiseSbatLevel(copy, date);
    return sign(copy);
  };
}

const EFIVARS = '/sys/firmware/efi/efivars';
const DBX = 'dbx-d719b2cb-3d3a-4596-a3bc-dad00e67656f';

/**
 * Two hashes to be revoked, signed by the key that the machine has as KEK, to be appended: as the attributes before it say,
 * which efivarfs takes off (UEFI 2.10, 8.2.2; 32.4.1: EFI_CERT_SHA256_GUID).
 */
async function dbxUpdate({ folder }: Tools): Promise<Record<string, Uint8Array>> {
  const place = (name: string): string => join(folder, name);
  const { key, certificate } = await snakeoilKey(folder);
  const list = Buffer.concat([
    ...[guidBytes('c1c41626-504c-4092-aca9-41f936934328'), Buffer.alloc(12)],
    ...[1, 2].map((fill) => Buffer.concat([Buffer.alloc(16, 0xee), Buffer.alloc(32, fill)])),
  ]);
  list.writeUInt32LE(list.length, 16);
  list.writeUInt32LE(48, 24);
  await writeFile(place('dbx.esl'), list);
  const attributes =
    'NON_VOLATILE,BOOTSERVICE_ACCESS,RUNTIME_ACCESS,TIME_BASED_AUTHENTICATED_WRITE_ACCESS,APPEND_WRITE';
  await run('sbvarsign', [
    ...['--key', key, '--cert', certificate, '--attr', attributes, '--include-attrs'],
    ...['--output', place('dbx.auth'), 'dbx', place('dbx.esl')],
  ]);
  return { 'dbx.esl': list, 'dbx.auth': await readFile(place('dbx.auth')) };
}

/** The automatic level, which stands first (shim: sbat_var.S). */
async function raiseSbatLevel(shim: string, date: string): Promise<void> {
  const bytes = await readFile(shim);
  const level = /sbat,1,(\d{10})\n/.exec(bytes.toString('latin1'));
  if (level === null) throw new Error(`${shim} has no level of SBAT`);
  bytes.write(date, level.index + 'sbat,1,'.length, 'latin1');
  await writeFile(shim, bytes);
}

/** Assay itself, on the machine that runs. */
const assayInto = (name: string, ...args: readonly string[]) =>
  runInto(name, '/usr/bin/node', `${GUEST_PROJECT}/src/cli/main.ts`, ...args);

const MACHINES: readonly Machine[] = [
  {
    keys: 'none',
    boots: {
      'direct-debian': async () => ({}),
      'direct-debian-kernel': async (tools) => ({ kernel: await otherKernel(tools) }),
      'direct-debian-initrd': async (tools) => ({ initramfs: await otherInitramfs(tools) }),
      'direct-debian-cmdline': async () => ({ commandLine: CHANGED_LINE }),
      'grub-without-shim': async () => ({ way: grubAlone, script: [keepPcrs('pcrs', SWTPM_BANKS)] }),
    },
  },
  {
    keys: 'none',
    boots: {
      'systemd-boot-uki-again': async () => ({ way: uki }),
      'systemd-boot-uki-second-boot': async () => ({ way: uki }),
      'systemd-boot-uki': async () => ({ way: uki }),
      'systemd-boot-uki-kernel': async (tools) => ({ way: uki, kernel: await otherKernel(tools) }),
      'systemd-boot-uki-initrd': async (tools) => ({ way: uki, initramfs: await otherInitramfs(tools) }),
      'systemd-boot-uki-cmdline': async () => ({ way: uki, commandLine: CHANGED_LINE }),
      'systemd-boot-uki-network': async () => ({ way: uki, attached: [{ network: 'e1000e' }] }),
    },
  },
  { keys: 'none', boots: { uki: async () => ({ way: ukiAlone() }) } },
  {
    keys: 'none',
    tree: { ...nodeTree(), ...projectTree() },
    boots: {
      'systemd-boot-uki-phases': async () => ({
        way: uki,
        script: [
          ...bootEvidence,
          step('/usr/bin/node', `${GUEST_PROJECT}/test/guest/inside/extend-phases.ts`, OUT, ...PHASES),
          ...['replay', 'state'].map((verb) => assayInto(`machine-${verb}`, 'boot', verb, '--json')),
        ],
      }),
    },
  },
  {
    keys: 'snakeoil',
    boots: {
      'snakeoil-systemd-boot-uki': async (tools) => ({ way: systemdBootAndUki(await signedBy(snakeoilKey, tools)) }),
      'snakeoil-systemd-boot-entry': async (tools) => ({
        way: systemdBootAndEntry(await signedBy(snakeoilKey, tools)),
      }),
    },
  },
  {
    keys: 'snakeoil',
    boots: {
      'debian-grub-snakeoil': async (tools) => ({ way: shimAndDebianGrub({ signShim: await ownShim(tools) }) }),
      'debian-grub-snakeoil-newer-shim': async (tools) => ({
        way: shimAndDebianGrub({ signShim: await ownShim(tools, '2099010100') }),
      }),
    },
  },
  {
    keys: 'microsoft',
    boots: {
      'debian-grub': async () => ({ way: shimAndDebianGrub() }),
      'debian-grub-entry': async () => ({ way: shimAndDebianGrub({ environment: NEXT_ENTRY }) }),
      'debian-grub-custom': async () => ({ way: shimAndDebianGrub({ custom: CUSTOM }) }),
    },
  },
  {
    keys: 'microsoft',
    boots: {
      'shim-grub-first-boot': async () => ({ way: shimAndGrub }),
      'shim-grub-second-boot': async () => ({ way: shimAndGrub }),
      'shim-grub-initrd': async (tools) => ({ way: shimAndGrub, initramfs: await otherInitramfs(tools) }),
      'shim-grub-cmdline': async () => ({ way: shimAndGrub, commandLine: CHANGED_LINE }),
      'shim-grub-mok': async (tools) => {
        const key = await makeImageKey(tools.folder, 'machine-owner');
        const signed = await signImage(key, await otherKernel(tools), join(tools.folder, 'signed'));
        return { way: shimAndGrub, kernel: signed, variables: [await machineOwnerKey(key)] };
      },
    },
  },
  {
    // It has efivarfs built in, through which an update of dbx comes.
    kernel: 'judge',
    keys: 'snakeoil',
    // Of e2fsprogs: busybox has none, and efivarfs keeps its files from being changed.
    tree: programTree('/usr/bin/chattr'),
    boots: {
      'snakeoil-dbx': async (tools) => ({
        way: systemdBootAndUki(await signedBy(snakeoilKey, tools)),
        files: await dbxUpdate(tools),
        script: [
          ...bootEvidence,
          ...['dbx.esl', 'dbx.auth'].map((name) => keep(`${IN}/${name}`, name)),
          step('mount', '-t', 'efivarfs', 'efivarfs', EFIVARS),
          step('/usr/bin/chattr', '-i', `${EFIVARS}/${DBX}`),
          // In one write, or the firmware sees a part of it.
          step('dd', `if=${IN}/dbx.auth`, `of=${EFIVARS}/${DBX}`, 'bs=64k'),
        ],
      }),
      'snakeoil-dbx-updated': async (tools) => ({ way: systemdBootAndUki(await signedBy(snakeoilKey, tools)) }),
    },
  },
];

/** Makes those that are not in the folder yet; of a machine, all where one is missing: its TPM and its disk go on. */
export async function makeKeptBoots(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const machine of MACHINES) {
    const kept = await Promise.all(Object.keys(machine.boots).map((name) => isThere(join(folder, name))));
    if (kept.every(Boolean) || (machine.kernel === 'judge' && process.env.ASSAY_JUDGE_KERNEL === undefined)) continue;
    await makeBoots(machine, folder);
  }
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

async function makeBoots(machine: Machine, folder: string): Promise<void> {
  const { kernel: kind = 'debian', keys, tree = {}, boots } = machine;
  const kernel = process.env[kind === 'judge' ? 'ASSAY_JUDGE_KERNEL' : 'ASSAY_GUEST_KERNEL'] ?? '';
  const diskMegabytes = Object.keys(tree).length === 0 ? 64 : 400;
  await using guest = await makeGuest({ kernel: kind, tree, banks: SWTPM_BANKS, keys, diskMegabytes });
  for (const [name, options] of Object.entries(boots)) {
    const made = join(folder, `${name}.new`);
    await rm(made, { recursive: true, force: true });
    await mkdir(join(made, 'tools'), { recursive: true });
    await copyFile(guest.variables, join(made, 'VARS-before.fd'));
    const chosen = await options({ guest, folder: join(made, 'tools'), kernel });
    const boot = await guest.boot({ commandLine: QUIET, script: bootEvidence, seconds: SECONDS, ...chosen });
    await keepBoot(boot, guest, made);
    await rm(join(made, 'tools'), { recursive: true });
    await rm(join(folder, name), { recursive: true, force: true });
    await rename(made, join(folder, name));
  }
}

async function keepBoot(boot: Boot, guest: Guest, folder: string): Promise<void> {
  for (const name of boot.files) {
    const kept = /^pcrs/.test(name) ? `${name}.json` : name.includes('.') ? name : `${name}.log`;
    const content = boot.file(name);
    await writeFile(join(folder, kept), /^pcrs/.test(name) ? JSON.stringify(parsePcrs(content.toString())) : content);
  }
  await copyFile(boot.payload.kernel, join(folder, 'kernel'));
  await copyFile(boot.payload.initramfs, join(folder, 'initrd'));
  await writeFile(join(folder, 'cmdline'), guest.loadOptions(boot.words));
  for (const [path, file] of Object.entries(boot.esp)) {
    const place = path.startsWith(LINUX_PARTITION)
      ? join(folder, 'linux', path.slice(LINUX_PARTITION.length))
      : join(folder, 'esp', path);
    await mkdir(dirname(place), { recursive: true });
    await cp(file, place);
  }
}
