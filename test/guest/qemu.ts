/** Runs one boot of a machine: QEMU with OVMF and a vTPM, its serial console captured. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import type { Payload } from './boot-way.ts';
import { FIRMWARE } from './firmware.ts';
import { start, stop } from './process.ts';

/** NVMe is built into Debian's cloud kernel and virtio is not; in the judge kernel it is the other way round. */
export type Bus = 'nvme' | 'virtio';

/** What the firmware is made to start: a kernel that QEMU hands to it, or the first of the disks that have a loader. */
export type Start = { readonly handed: Payload } | { readonly disks: readonly string[] };

/** What more is plugged in. A network card brings an option ROM. */
export type Attachment = { readonly disk: string } | { readonly network: 'e1000e' } | { readonly stick: string };

/** What a person at the console types when asked, in this order. */
export interface Answer {
  /** The end of what the machine asks. */
  readonly asked: string;
  readonly typed: string;
  /** Seconds between the question and the first key, for who asks first and switches the echo off then. */
  readonly after?: number;
}

export interface Hardware {
  readonly start: Start;
  readonly attached: readonly Attachment[];
  readonly answers: readonly Answer[];
  readonly bus: Bus;
  readonly disk: string;
  readonly exchange: string;
  /** The machine's own copy of the firmware's variables. */
  readonly variables: string;
  /** swtpm's control socket. */
  readonly tpmSocket: string;
}

export type Accelerator = 'kvm' | 'tcg';

/** KVM could not run the machine, although /dev/kvm is there: nested virtualisation that lacks a feature, for example. */
export class NoKvm extends Error {}

/**
 * What to try, in order. ASSAY_GUEST_ACCEL=kvm or tcg decides; else KVM where its device opens, then TCG.
 */
export function accelerators(): Accelerator[] {
  const asked = process.env.ASSAY_GUEST_ACCEL;
  if (asked === 'kvm' || asked === 'tcg') return [asked];
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return ['kvm', 'tcg'];
  } catch {
    return ['tcg'];
  }
}

/** Two namespaces of one controller: their order is fixed, that of two controllers is not. */
const DISKS = {
  nvme: [
    ...['-device', 'nvme,id=nvme,serial=assay'],
    ...['-device', 'nvme-ns,bus=nvme,nsid=1,drive=disk', '-device', 'nvme-ns,bus=nvme,nsid=2,drive=exchange'],
  ],
  virtio: ['-device', 'virtio-blk-pci,drive=disk', '-device', 'virtio-blk-pci,drive=exchange'],
} as const satisfies Record<Bus, readonly string[]>;

/** All of it lies below the devices' addresses. */
export const MEMORY_MEGABYTES = 1024;

/** One processor: with two, generated code of V8 sometimes crashes under QEMU 7.2's emulation, and nothing gets faster. */
const PROCESSORS = '1';

const ACCELERATION = { kvm: 'kvm', tcg: 'tcg,thread=multi' } as const;

/**
 * A panic ends the run at once instead of waiting for the time limit. The kernel's test of the timer fails now and then
 * where TCG shares a busy processor, and panics.
 */
export const kernelCommandLine = (words: readonly string[]): string =>
  ['console=ttyS0', 'panic=-1', 'no_timer_check', ...words].join(' ');

const raw = (id: string, file: string): string[] => ['-drive', `if=none,id=${id},format=raw,cache=unsafe,file=${file}`];

function argumentsFor(hardware: Hardware, accelerator: Accelerator): string[] {
  return [
    ...[
      '-accel',
      ACCELERATION[accelerator],
      '-cpu',
      'max',
      '-machine',
      'q35',
      '-smp',
      PROCESSORS,
      '-m',
      `${MEMORY_MEGABYTES}`,
    ],
    ...['-nodefaults', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
    ...['-drive', `if=pflash,format=raw,readonly=on,file=${FIRMWARE}`],
    ...['-drive', `if=pflash,format=raw,file=${hardware.variables}`],
    ...['-chardev', `socket,id=tpm,path=${hardware.tpmSocket}`],
    ...['-tpmdev', 'emulator,id=vtpm,chardev=tpm', '-device', 'tpm-crb,tpmdev=vtpm'],
    ...startArguments(hardware.start),
    ...hardware.attached.flatMap(attachmentArguments),
    ...raw('disk', hardware.disk),
    ...raw('exchange', hardware.exchange),
    ...DISKS[hardware.bus],
  ];
}

function startArguments(start: Start): string[] {
  if ('handed' in start) {
    const { kernel, initramfs, commandLine } = start.handed;
    return ['-kernel', kernel, '-initrd', initramfs, '-append', commandLine];
  }
  return start.disks.flatMap(sataArguments);
}

/**
 * On SATA, for which the tests' kernels have no driver: the guest's names for its other disks stay as they are.
 * @param port also the place among what the firmware tries
 */
const sataArguments = (image: string, port: number): string[] => [
  ...raw(`sata${port}`, image),
  ...['-device', `ide-hd,bus=ide.${port},drive=sata${port},bootindex=${port}`],
];

/** Of the six ports of q35, behind those that a guest starts from. */
const FIRST_ATTACHED_PORT = 2;

/** They come behind what the guest starts from. */
function attachmentArguments(attachment: Attachment, index: number): string[] {
  const place = FIRST_ATTACHED_PORT + index;
  if ('disk' in attachment) return sataArguments(attachment.disk, place);
  if ('stick' in attachment) {
    const hub = ['-device', `qemu-xhci,id=usb${index}`];
    return [
      ...hub,
      ...raw(`stick${index}`, attachment.stick),
      '-device',
      `usb-storage,bus=usb${index}.0,drive=stick${index}`,
    ];
  }
  const card = `${attachment.network},netdev=network${index},mac=52:54:00:00:00:0${index},bootindex=${place}`;
  return ['-netdev', `user,id=network${index},restrict=on`, '-device', card];
}

/** What the kernel says before it stops for good, with the power on. */
const HALTED = 'reboot: System halted';

/**
 * Boots and waits until the guest powers itself off, or halts.
 * @returns what came over the serial console
 * @throws NoKvm; an error with the console's end after `seconds`
 */
export async function runMachine(hardware: Hardware, accelerator: Accelerator, seconds: number): Promise<string> {
  const child = start('qemu-system-x86_64', argumentsFor(hardware, accelerator), 'pipe', 'pipe');
  const answer = answering(child, hardware.answers);
  const console = collect(child, 'stdout', (text) => {
    answer(text);
    if (text.includes(HALTED)) child.kill('SIGTERM');
  });
  const complaints = collect(child, 'stderr', (text) => {
    // The virtual machine is then paused for good; QEMU does not exit by itself.
    if (text.includes('KVM internal error')) child.kill('SIGKILL');
  });
  let late = false;
  const limit = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, seconds * 1000);
  try {
    const [code] = await once(child, 'close');
    if (code === 0) return console();
    if (late) throw new Error(`guest not done after ${seconds} s; its console ends:\n${console().slice(-3000)}`);
    if (accelerator === 'kvm' && console() === '') throw new NoKvm(complaints().trim());
    throw new Error(`QEMU ended with ${code}: ${complaints().trim()}\n${console().slice(-3000)}`);
  } finally {
    clearTimeout(limit);
    await stop(child);
  }
}

/** Types each answer once, when what comes before it has been asked. */
function answering(child: ChildProcess, answers: readonly Answer[]): (text: string) => void {
  const left = [...answers];
  let read = 0;
  return (text) => {
    for (let [next] = left; next !== undefined; [next] = left) {
      const at = text.indexOf(next.asked, read);
      if (at < 0) return;
      read = at + next.asked.length;
      const { typed } = next;
      setTimeout(
        () => {
          if (child.exitCode === null) child.stdin?.write(`${typed}\r`);
        },
        (next.after ?? 0) * 1000,
      );
      left.shift();
    }
  };
}

function collect(child: ChildProcess, stream: 'stdout' | 'stderr', look?: (text: string) => void): () => string {
  let text = '';
  child[stream]?.on('data', (data: Buffer) => {
    text += data.toString('latin1');
    look?.(text);
  });
  return () => text;
}
