import { digest, digestInfo, toHex } from '../../bytes/index.ts';
import type { PcrBank, PcrValues, TpmKind } from '../../evidence/index.ts';
import { bootAggregate } from '../../ima/index.ts';

/** Which boot of the TPM this is (TPMS_CLOCK_INFO, part 2, 10.11.1): as TPM2_ReadClock says it, not as a quote does, which obfuscates. */
export interface TpmBoot {
  readonly resetCount: number;
  readonly restartCount: number;
}

/** What measuring needs of a TPM. */
export interface PcrExtender {
  readonly kind: TpmKind;
  boot(): Promise<TpmBoot>;
  /** The values of these PCRs in every active bank (TPM2_PCR_Read). */
  read(pcrs: readonly number[]): Promise<PcrValues>;
  /** One TPM2_PCR_Extend with a digest for each active bank: the TPM does all of it or nothing. */
  extend(pcr: number, digests: Readonly<Partial<Record<PcrBank, Uint8Array>>>): Promise<void>;
}

const BANKS = ['sha256', 'sha384', 'sha512', 'sm3', 'sha1'] as const satisfies readonly PcrBank[];

/** The banks that are there, SHA-256 first, SHA-1 last. */
export function banksOf(values: PcrValues): PcrBank[] {
  return BANKS.filter((bank) => values[bank] !== undefined);
}

export function pcrValue(values: PcrValues, bank: PcrBank, pcr: number): Uint8Array {
  return values[bank]?.[pcr] ?? new Uint8Array();
}

/** What an entry's template data does to a PCR, in each bank. */
export function digestsOf(data: Uint8Array, banks: readonly PcrBank[]): Partial<Record<PcrBank, Uint8Array>> {
  return Object.fromEntries(banks.map((bank) => [bank, digest(bank, data)]));
}

/** What a violation is extended with: ones, so that no verifier can take the list for what was used (ima_queue.c). */
export function violationDigest(bank: PcrBank): Buffer {
  return Buffer.alloc(digestInfo(bank).size, 0xff);
}

export function violationDigests(banks: readonly PcrBank[]): Partial<Record<PcrBank, Uint8Array>> {
  return Object.fromEntries(banks.map((bank) => [bank, violationDigest(bank)]));
}

/**
 * What the first entry says, as in the kernel, of the SHA-256 bank. Without that bank the kernel takes SHA-1's; our
 * entries are SHA-256 only, so there it is all zero, by which the kernel says that there was nothing to read.
 */
export function sha256BootAggregate(values: PcrValues): Uint8Array {
  if (values.sha256 === undefined) return new Uint8Array(32);
  const hex = Object.entries(values.sha256).map(([pcr, value]) => [pcr, toHex(value)]);
  return bootAggregate('sha256', Object.fromEntries(hex));
}
