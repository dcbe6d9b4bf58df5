/** Platform configuration registers: their attributes and values (Part 1, 17; Part 4, PCR.c; PC Client profile, 4.6). */
import { digest, digestInfo } from '../../bytes/index.ts';
import type { TPMI_ALG_HASH, TPML_PCR_SELECTION } from '../../tpm/index.ts';
import { PCR_COUNT } from './limits.ts';
import type { Machine } from './machine.ts';
import type { Volatile } from './state.ts';

export interface PcrAttributes {
  /** Kept by TPM2_Shutdown(STATE). */
  readonly isSaved: boolean;
  /** One bit for each locality that may. */
  readonly resetLocalities: number;
  readonly extendLocalities: number;
}

const STATIC: PcrAttributes = { isSaved: true, resetLocalities: 0, extendLocalities: 0x1f };
const DEBUG: PcrAttributes = { isSaved: false, resetLocalities: 0x0f, extendLocalities: 0x1f };
const DRTM: readonly PcrAttributes[] = [
  { isSaved: false, resetLocalities: 0x10, extendLocalities: 0x1c },
  { isSaved: false, resetLocalities: 0x10, extendLocalities: 0x1c },
  { isSaved: false, resetLocalities: 0x10, extendLocalities: 0x0c },
  { isSaved: false, resetLocalities: 0x14, extendLocalities: 0x0e },
  { isSaved: false, resetLocalities: 0x14, extendLocalities: 0x04 },
  { isSaved: false, resetLocalities: 0x14, extendLocalities: 0x04 },
];

export function pcrAttributes(pcr: number): PcrAttributes {
  if (pcr < 16) return STATIC;
  return DRTM[pcr - 17] ?? DEBUG;
}

/** Bits for 0–4; extended localities (32–255) are none of them, which a shift takes modulo 32. */
export function hasLocality(bits: number, locality: number): boolean {
  return locality <= 4 && ((bits >> locality) & 1) === 1;
}

export function mayExtend(pcr: number, locality: number): boolean {
  return hasLocality(pcrAttributes(pcr).extendLocalities, locality);
}

/** At locality 4 a dynamic launch resets PCRs, no command does (Part 4, PCR.c: PCRIsResetAllowed). */
export function mayReset(pcr: number, locality: number): boolean {
  return locality !== 4 && hasLocality(pcrAttributes(pcr).resetLocalities, locality);
}

/** PCRs of a dynamic launch: all ones until the launch resets them to zero. */
export function isDynamic(pcr: number): boolean {
  return pcr >= 17 && pcr <= 22;
}

/** Changes of these do not invalidate policies (TPM_PT_PCR_NO_INCREMENT). */
export function isUncounted(pcr: number): boolean {
  return pcr === 16 || (pcr >= 21 && pcr <= 23);
}

export const PCRS: readonly number[] = Array.from({ length: PCR_COUNT }, (_, pcr) => pcr);

/** How much the PCR update counter grows where each of these PCRs gets its value anew (Part 4, PCR.c: PCRStartup). */
export function countedChanges(pcrs: readonly number[]): number {
  return pcrs.filter((pcr) => !isUncounted(pcr)).length;
}

/** PCRs with a policy and an authorization value of their own, which they share. */
export function isInGroup(pcr: number): boolean {
  return pcr >= 20 && pcr <= 22;
}

/** The banks as TPM2_Startup(CLEAR) leaves them; of one in which no PCR is allocated there is nothing. */
export function startBanks(allocation: TPML_PCR_SELECTION): Volatile['banks'] {
  const allocated = allocation.filter(({ pcrs }) => pcrs.length > 0);
  return new Map(
    allocated.map(({ hash, pcrs }) => {
      const start = (pcr: number) => new Uint8Array(digestInfo(hash).size).fill(isDynamic(pcr) ? 0xff : 0);
      return [hash, PCRS.map((pcr) => (pcrs.includes(pcr) ? start(pcr) : NOT_ALLOCATED))];
    }),
  );
}

const NOT_ALLOCATED = new Uint8Array(0);

/** Undefined for a PCR that is not allocated in this bank. */
export function readPcr(machine: Machine, hash: TPMI_ALG_HASH, pcr: number): Uint8Array | undefined {
  const value = machine.volatile.banks.get(hash)?.[pcr];
  return value === undefined || value.length === 0 ? undefined : value;
}

export function setPcr(machine: Machine, hash: TPMI_ALG_HASH, pcr: number, value: Uint8Array): void {
  const bank = machine.volatile.banks.get(hash);
  if (bank !== undefined && readPcr(machine, hash, pcr) !== undefined) bank[pcr] = value;
}

/** Where the PCR is not allocated nothing happens; where it is, the change counts (Part 4, PCR.c: PCRExtend). */
export function extendPcr(machine: Machine, hash: TPMI_ALG_HASH, pcr: number, value: Uint8Array): void {
  const old = readPcr(machine, hash, pcr);
  if (old === undefined) return;
  setPcr(machine, hash, pcr, digest(hash, old, value));
  pcrChanged(machine, pcr);
}

export function pcrChanged(machine: Machine, pcr: number): void {
  if (!isUncounted(pcr)) machine.volatile.pcrUpdateCounter++;
  machine.memoryChanged();
}

export interface SelectedDigests {
  /** The selection without what is not there (Part 4, FilterPcr). */
  readonly selection: TPML_PCR_SELECTION;
  readonly digests: readonly Uint8Array[];
}

/** @param max digests at most; the selection says which were taken */
export function selectPcrs(
  machine: Machine,
  asked: TPML_PCR_SELECTION,
  max = Number.POSITIVE_INFINITY,
): SelectedDigests {
  const digests: Uint8Array[] = [];
  const selection = asked.map((select) => {
    const pcrs = select.pcrs.filter((pcr) => {
      const value = readPcr(machine, select.hash, pcr);
      if (value === undefined || digests.length >= max) return false;
      digests.push(value);
      return true;
    });
    return { ...select, pcrs };
  });
  return { selection, digests };
}
