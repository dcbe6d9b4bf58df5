import { bytesEqual, type DigestAlgorithm, digest, digestInfo, fromHex, isDigestAlgorithm } from '../bytes/index.ts';
import type { MeasurementEntry } from './entry.ts';
import { ImaError } from './error.ts';
import type { PcrValues } from './replay-state.ts';

/** Name of the list's first entry, by which IMA anchors itself in the firmware's measurements. */
export const BOOT_AGGREGATE = 'boot_aggregate';

/**
 * H_bank(PCR 0 ‖ … ‖ PCR 7), and of PCR 8 and 9 too unless the bank is sha1
 * (kernel: ima_crypto.c:ima_calc_boot_aggregate_tfm).
 * @param pcrs hex by PCR number, of this bank; a PCR that is absent from a replayed log holds zeros
 * @throws {ParseError} for a value that is not hex, {ImaError} for one that is not of the bank's size
 */
export function bootAggregate(bank: DigestAlgorithm, pcrs: Readonly<Record<string, string>>): Buffer {
  const { size } = digestInfo(bank);
  const values = Array.from({ length: bank === 'sha1' ? 8 : 10 }, (_, pcr) => {
    const hex = pcrs[pcr];
    const value = hex === undefined ? Buffer.alloc(size) : fromHex(hex, `PCR ${pcr}`);
    if (value.length === size) return value;
    throw new ImaError('ima.invalid-argument', `PCR ${pcr} of bank ${bank} has ${value.length} bytes, not ${size}`);
  });
  return digest(bank, ...values);
}

/**
 * - `matches`, `differs`: the aggregate against the PCRs.
 * - `no-tpm`: the kernel found no TPM and recorded zeros.
 * - `absent`: the entry is no boot_aggregate, or has no digest.
 * - `no-bank`: the PCRs that the aggregate is made over were not given, or not all of them.
 */
export type BootAggregateVerdict = 'matches' | 'differs' | 'no-tpm' | 'absent' | 'no-bank';

export interface BootAggregateCheck {
  readonly verdict: BootAggregateVerdict;
  /** The bank that the kernel took: the algorithm of the entry's digest. */
  readonly bank: DigestAlgorithm | undefined;
  readonly found: string | undefined;
  readonly expected: string | undefined;
}

/** Compares a list's first entry with the PCRs it was made over. */
export function checkBootAggregate(first: MeasurementEntry | undefined, pcrs: PcrValues): BootAggregateCheck {
  const recorded = first?.fields?.path === BOOT_AGGREGATE ? first.fields.digest : undefined;
  if (recorded === undefined || !isDigestAlgorithm(recorded.algorithm)) {
    return { verdict: 'absent', bank: undefined, found: undefined, expected: undefined };
  }
  const bank = recorded.algorithm;
  const found = Buffer.from(recorded.value).toString('hex');
  const given = pcrs[bank];
  if (recorded.value.every((byte) => byte === 0)) return { verdict: 'no-tpm', bank, found, expected: undefined };
  if (given === undefined || !holdsAll(given, 8)) return { verdict: 'no-bank', bank, found, expected: undefined };
  const expected = bootAggregate(bank, given);
  const matches = bytesEqual(expected, recorded.value);
  // PCR 8 and 9 are zero where no boot loader measures, and a replayed log then has no value of them.
  if (!matches && bank !== 'sha1' && !holdsAll(given, 10))
    return { verdict: 'no-bank', bank, found, expected: undefined };
  const verdict = matches ? 'matches' : 'differs';
  return { verdict, bank, found, expected: expected.toString('hex') };
}

function holdsAll(pcrs: Readonly<Record<string, string>>, count: number): boolean {
  for (let pcr = 0; pcr < count; pcr++) if (pcrs[pcr] === undefined) return false;
  return true;
}
