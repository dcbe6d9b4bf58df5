/**
 * Event logs of confidential computing (CCEL): TCG's crypto-agile format, measured into registers of the processor. UEFI
 * 2.10, 38.4.1 ("Intel Trust Domain Extension") maps the firmware's PCRs to them; TDX has MRTD and four RTMRs.
 */
import { decodeLog } from './decode/decode-event.ts';
import type { DecodedEvent } from './decode/decoded-event.ts';
import { EventType } from './event-types.ts';
import type { BootEvent, BootLog } from './log.ts';
import { payloadText } from './payload.ts';
import { isExtended, replayBootLog } from './replay.ts';
import { type StoryChapter, tellBoot } from './story.ts';

/** By the index that events carry: an RTMR's number is one less. MRTD is closed before the firmware runs. */
export const CC_REGISTERS = ['MRTD', 'RTMR0', 'RTMR1', 'RTMR2', 'RTMR3'] as const;
export type CcRegister = (typeof CC_REGISTERS)[number];

/** The register of an event, or undefined for an index that has none. */
export function ccRegister(index: number): CcRegister | undefined {
  return CC_REGISTERS[index];
}

/**
 * True for a log whose indices are registers. TDVF writes its Spec ID event under index 1, where a TPM's log has PCR 0,
 * and no index is above 4. Nothing else in the format tells them apart.
 */
export function isCcLog(log: BootLog): boolean {
  const [first] = log.events;
  return log.specId !== undefined && first?.pcr === 1 && log.events.every(({ pcr }) => pcr < CC_REGISTERS.length);
}

export interface CcReplay {
  /** Values in lower-case hex by bank, then register; only registers that an event extended. */
  readonly registers: { readonly [bank: string]: { readonly [register in CcRegister]?: string } };
  /** Events that say to be measured where software cannot extend: MRTD, or no register. They are in no value. */
  readonly strays: readonly number[];
}

/** Replays a log of {@link isCcLog}: every RTMR begins at zero. */
export function replayCcLog(log: BootLog): CcReplay {
  const registers = Object.entries(replayBootLog(log)).map(([bank, values]) => {
    const named = Object.entries(values).flatMap(([index, value]) => {
      const register = ccRegister(Number(index));
      return register === undefined || register === 'MRTD' ? [] : [[register, value] as const];
    });
    return [bank, Object.fromEntries(named)] as const;
  });
  const isStray = ({ pcr }: BootEvent): boolean => pcr === 0 || ccRegister(pcr) === undefined;
  const strays = log.events.filter((event) => isExtended(event) && isStray(event)).map(({ index }) => index);
  return { registers: Object.fromEntries(registers), strays };
}

/** As `decodeLog` and `tellBoot`, for a log of {@link isCcLog}; `pcr` stays the log's index. */
export function tellCcBoot(log: BootLog): {
  readonly events: readonly DecodedEvent[];
  readonly story: readonly StoryChapter[];
} {
  const asPcrs = decodeLog({ ...log, events: log.events.map((event) => ({ ...event, pcr: likelyPcr(event) })) });
  const indexOf = (index: number): number => log.events[index]?.pcr ?? 0;
  const story = tellBoot(asPcrs).map((chapter) => ({
    ...chapter,
    lines: chapter.lines.map((line) => ({ ...line, pcr: indexOf(line.index) })),
  }));
  return { events: asPcrs.map((event) => ({ ...event, pcr: indexOf(event.index) })), story };
}

/**
 * The PCR that a TPM's log would have for an event: each RTMR stands for several, and the type or text says which. What a
 * payload means hangs on it; what the register holds does not.
 */
function likelyPcr(event: BootEvent): number {
  switch (ccRegister(event.pcr)) {
    case 'RTMR0':
      return isSecureBootVariable(event) ? 7 : 1;
    case 'RTMR1':
      return pcrOfRtmr1(event);
    case 'RTMR2':
      return pcrOfRtmr2(payloadText(event) ?? '');
    case 'RTMR3':
      return 15;
    default:
      return event.pcr;
  }
}

function isSecureBootVariable({ type }: BootEvent): boolean {
  return type === EventType.EV_EFI_VARIABLE_DRIVER_CONFIG || type === EventType.EV_EFI_VARIABLE_AUTHORITY;
}

function pcrOfRtmr1({ type }: BootEvent): number {
  switch (type) {
    case EventType.EV_EFI_BOOT_SERVICES_DRIVER:
    case EventType.EV_EFI_RUNTIME_SERVICES_DRIVER:
      return 2;
    case EventType.EV_EFI_GPT_EVENT:
    case EventType.EV_EFI_GPT_EVENT2:
      return 5;
    case EventType.EV_EFI_VARIABLE_BOOT:
    case EventType.EV_EFI_VARIABLE_BOOT2:
      return 1;
    default:
      return 4;
  }
}

function pcrOfRtmr2(text: string): number {
  if (/^(?:grub_cmd|kernel_cmdline|module_cmdline): /.test(text)) return 8;
  if (text.startsWith('Mok')) return 14;
  return text.startsWith('.') ? 11 : 9;
}

const TABLE_SIGNATURE = Buffer.from('CCEL', 'latin1');
const TABLE_SIZE = 56;

/**
 * True for the ACPI table that says where such a log is (ACPI 6.5, 5.2.34), which is often taken for the log itself: Linux
 * shows it as /sys/firmware/acpi/tables/CCEL, and the log as data/CCEL beside it.
 */
export function isCcelTable(bytes: Uint8Array): boolean {
  return bytes.length === TABLE_SIZE && TABLE_SIGNATURE.equals(bytes.subarray(0, TABLE_SIGNATURE.length));
}
