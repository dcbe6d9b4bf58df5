/** A real Linux machine for a test: firmware, vTPM, kernel with IMA, a disk. It boots as often as the test asks and keeps its disk and TPM between boots. */
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SwtpmBank } from '../../src/vtpm/index.ts';
import type { BootWay, Payload } from './boot-way.ts';
import { makeDisk, makeInitramfs, readExchange, replaceOnDisk, whileMounted, writeExchange } from './disk.ts';
import { type EspFiles, makeBootDisk, SECOND_DISK } from './esp.ts';
import { FIRMWARE_VARIABLES, type FirmwareVariable, type SecureBootKeys, setVariables } from './firmware.ts';
import {
  type Accelerator,
  type Answer,
  type Attachment,
  accelerators,
  type Bus,
  type Hardware,
  kernelCommandLine,
  NoKvm,
  runMachine,
  type Start,
} from './qemu.ts';
import { RC, type Step, scriptOf } from './script.ts';
import { busyboxTree, type Tree } from './tree.ts';
import { type StartVtpm, VTPMS, type VtpmMaker } from './vtpm.ts';

export interface GuestOptions {
  readonly kernel: 'debian' | 'standard' | 'judge';
  /** Files beside busybox. */
  readonly tree: Tree;
  readonly banks: readonly SwtpmBank[];
  readonly diskMegabytes?: number;
  /** Features of ext4 beside the usual ones. */
  readonly diskFeatures?: readonly string[];
  /** Keys of Secure Boot; `none` unless told, which leaves it off. */
  readonly keys?: SecureBootKeys;
  /** Who makes its vTPM; swtpm unless told. */
  readonly tpm?: VtpmMaker;
}

export interface BootOptions {
  /** Kernel command line, after the console. */
  readonly commandLine: readonly string[];
  readonly script: readonly Step[];
  /** File name → content, found below `IN` in the guest. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** Through a loader on a disk; unless told, QEMU hands the kernel to the firmware. */
  readonly way?: BootWay;
  /** Instead of the guest's own. */
  readonly kernel?: string;
  readonly initramfs?: string;
  /** Set before the boot, in place of what has that name. They stay. */
  readonly variables?: readonly FirmwareVariable[];
  /** Files of a further disk with a loader; `order` says from which of the two the firmware starts. */
  readonly second?: { readonly files: EspFiles; readonly order: 'before' | 'behind' };
  readonly attached?: readonly Attachment[];
  /** What is typed at the console. */
  readonly answers?: readonly Answer[];
  /** Before the machine is switched on, with everything in its place. */
  readonly beforeStart?: (prepared: PreparedBoot) => void | Promise<void>;
  /** Generous: TCG on a busy machine is ten times slower than KVM on an idle one. */
  readonly seconds?: number;
}

/** What a boot will start. */
export interface PreparedBoot {
  readonly payload: Payload;
  /** The command line as the boot was asked for, without the console. */
  readonly words: readonly string[];
  /** What lies on the guest's own disk with a loader. They go with the guest. */
  readonly esp: EspFiles;
  /** Image of the disk that the firmware starts from, if it does so from one. */
  readonly disk: string | undefined;
}

export interface Boot extends PreparedBoot {
  readonly console: string;
  /** Names of what the script left in `OUT`. */
  readonly files: readonly string[];
  /** What the script left in `OUT`; throws where there is no such file. */
  file(name: string): Buffer;
  readonly accelerator: Accelerator;
  readonly seconds: number;
}

export interface Guest extends AsyncDisposable {
  boot(options: BootOptions): Promise<Boot>;
  /** Changes a file on the disk while the machine is off. */
  replaceFile(path: string, text: string): Promise<void>;
  /**
   * Mounts the disk while the machine is off and does `work` below the mount point, which it is given.
   * @throws where this user may not mount
   */
  onDisk<T>(work: (root: string) => T | Promise<T>): Promise<T>;
  /** Root certificate of the vTPM's manufacturer. */
  readonly caRoot: string;
  /** The vTPM's folder, for a swtpm of the test's own while the machine is off. */
  readonly tpmState: string;
  /** The initramfs' image, whose content the kernel measures into PCR 9. */
  readonly initramfs: string;
  /** The flash that holds the firmware's variables. */
  readonly variables: string;
  /** What the kernel's EFI stub gets and measures for a command line: OVMF appends the initramfs' name. */
  loadOptions(commandLine: readonly string[]): string;
}

const KERNELS = {
  debian: { variable: 'ASSAY_GUEST_KERNEL', bus: 'nvme' },
  standard: { variable: 'ASSAY_STANDARD_KERNEL', bus: 'nvme' },
  judge: { variable: 'ASSAY_JUDGE_KERNEL', bus: 'virtio' },
} as const satisfies Record<GuestOptions['kernel'], { variable: string; bus: Bus }>;

function kernelImage(kernel: GuestOptions['kernel']): string {
  const { variable } = KERNELS[kernel];
  const path = process.env[variable];
  if (path === undefined) throw new Error(`${variable} does not say where the ${kernel} kernel is`);
  return path;
}

/** Makes a machine in a folder of its own, which is removed with it. */
export async function makeGuest(options: GuestOptions): Promise<Guest> {
  const folder = await mkdtemp(join(tmpdir(), 'assay-guest-'));
  try {
    return await assemble(options, folder);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function assemble(options: GuestOptions, folder: string): Promise<Guest> {
  const place = (name: string) => join(folder, name);
  const tree = { ...busyboxTree(), '/etc/rc': { text: RC }, ...options.tree };
  const vtpm = VTPMS[options.tpm ?? 'swtpm'];
  const { state, rootCertificate: caRoot } = await vtpm.manufacture({
    state: place('tpm-state'),
    authority: place('tpm-ca'),
    banks: options.banks,
  });
  await makeDisk(tree, place('disk'), options.diskMegabytes ?? 64, options.diskFeatures);
  await makeInitramfs(place('initramfs'));
  await copyFile(FIRMWARE_VARIABLES[options.keys ?? 'none'], place('variables'));
  const machine = {
    bus: KERNELS[options.kernel].bus,
    disk: place('disk'),
    exchange: place('exchange'),
    variables: place('variables'),
    tpmSocket: place('tpm.sock'),
  };
  let boots = 0;
  return {
    caRoot,
    tpmState: state,
    initramfs: place('initramfs'),
    variables: machine.variables,
    loadOptions: (commandLine) => `${kernelCommandLine(commandLine)} initrd=initrd`,
    async boot(boot) {
      const payload = {
        kernel: boot.kernel ?? kernelImage(options.kernel),
        initramfs: boot.initramfs ?? place('initramfs'),
        commandLine: kernelCommandLine(boot.commandLine),
      };
      boots += 1;
      const { start, esp } = await prepareStart(boot, payload, place(`start-${boots}`));
      await setVariables(machine.variables, boot.variables ?? []);
      const hardware = { ...machine, start, attached: boot.attached ?? [], answers: boot.answers ?? [] };
      const disk = 'disks' in start ? start.disks[0] : undefined;
      const prepared = { payload, esp, disk, words: boot.commandLine };
      await boot.beforeStart?.(prepared);
      const startTpm: StartVtpm = () => vtpm.start(state, hardware.tpmSocket);
      return { ...(await bootOnce(hardware, startTpm, boot, folder)), ...prepared };
    },
    async replaceFile(path, text) {
      await writeFile(place('replacement'), text);
      await replaceOnDisk(place('disk'), path, place('replacement'));
    },
    onDisk: (work) => whileMounted(place('disk'), work),
    async [Symbol.asyncDispose]() {
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** @param folder a new one, for the disks and what the way makes */
async function prepareStart(
  boot: BootOptions,
  payload: Payload,
  folder: string,
): Promise<{ start: Start; esp: EspFiles }> {
  if (boot.way === undefined) return { start: { handed: payload }, esp: {} };
  await mkdir(folder);
  const esp = await boot.way(payload, folder);
  const first = join(folder, 'first');
  await makeBootDisk(esp, first);
  if (boot.second === undefined) return { start: { disks: [first] }, esp };
  const second = join(folder, 'second');
  await makeBootDisk(boot.second.files, second, SECOND_DISK);
  return { start: { disks: boot.second.order === 'before' ? [second, first] : [first, second] }, esp };
}

async function bootOnce(
  hardware: Hardware,
  startTpm: StartVtpm,
  boot: BootOptions,
  folder: string,
): Promise<Omit<Boot, keyof PreparedBoot>> {
  await packExchange(hardware.exchange, boot, join(folder, 'in'));
  const began = performance.now();
  const { console, accelerator } = await runAccelerated(hardware, startTpm, boot.seconds ?? 150);
  const seconds = (performance.now() - began) / 1000;
  const files = await unpackExchange(hardware.exchange, join(folder, 'out'), console);
  return {
    console,
    accelerator,
    seconds,
    files: [...files.keys()],
    file(name) {
      const content = files.get(name);
      if (content === undefined) throw new Error(`the guest left no file ${name}; its console ends:\n${tail(console)}`);
      return content;
    },
  };
}

const tail = (console: string): string => console.slice(-3000);

/** Accelerators that failed in this process are not tried again. */
const unusable = new Set<Accelerator>();

async function runAccelerated(
  hardware: Hardware,
  startTpm: StartVtpm,
  seconds: number,
): Promise<{ console: string; accelerator: Accelerator }> {
  let reason: unknown = new Error('no accelerator');
  for (const accelerator of accelerators().filter((name) => !unusable.has(name))) {
    const tpm = await startTpm();
    try {
      return { console: await runMachine(hardware, accelerator, seconds), accelerator };
    } catch (error) {
      if (!(error instanceof NoKvm)) throw error;
      unusable.add(accelerator);
      reason = error;
    } finally {
      await tpm.stop();
    }
  }
  throw reason;
}

async function packExchange(image: string, boot: BootOptions, staging: string): Promise<void> {
  await mkdir(join(staging, 'in'), { recursive: true });
  await writeFile(join(staging, 'script'), `${scriptOf(boot.script)}\n`);
  for (const [name, content] of Object.entries(boot.files ?? {})) await writeFile(join(staging, 'in', name), content);
  await writeExchange(image, staging);
  await rm(staging, { recursive: true });
}

async function unpackExchange(image: string, staging: string, console: string): Promise<ReadonlyMap<string, Buffer>> {
  await readExchange(image, staging);
  const status = await readFile(join(staging, 'status'), 'latin1').catch(() => 'none');
  if (status.trim() !== '0') throw new Error(`the guest's script ended with status ${status}:\n${tail(console)}`);
  const names = await readdir(join(staging, 'out'));
  const files = new Map<string, Buffer>();
  for (const name of names) files.set(name, await readFile(join(staging, 'out', name)));
  await rm(staging, { recursive: true });
  return files;
}
