/** PCRs of a TPM: which banks are active, reading, extending (TPM 2.0 Part 3, 22 and 30.2). */
import type { TpmClient } from './client/index.ts';
import { TPM2_GetCapability, TPM2_PCR_Extend, TPM2_PCR_Read } from './commands.ts';
import { TpmError } from './errors.ts';
import type { TPMI_ALG_HASH, TPMS_PCR_SELECTION } from './structures.ts';

export interface PcrValue {
  readonly index: number;
  readonly value: Uint8Array;
}

/** The banks with at least one PCR, as the TPM lists them. */
export async function activeBanks(tpm: TpmClient): Promise<TPMS_PCR_SELECTION[]> {
  const { capabilityData } = await tpm.execute(TPM2_GetCapability, {
    capability: 'pcrs',
    property: 0,
    propertyCount: 16,
  });
  if (capabilityData.capability !== 'pcrs') throw new TpmError('tpm.malformed', 'the TPM does not list its PCR banks');
  return capabilityData.data.filter(({ pcrs }) => pcrs.length > 0);
}

/** Reads PCRs of one bank; those that the TPM does not have are missing. The TPM gives at most eight at a time. */
export async function readPcrs(tpm: TpmClient, hash: TPMI_ALG_HASH, indices: readonly number[]): Promise<PcrValue[]> {
  const values: PcrValue[] = [];
  let left = [...indices];
  while (left.length > 0) {
    const { pcrSelectionOut, pcrValues } = await tpm.execute(TPM2_PCR_Read, { pcrSelectionIn: [{ hash, pcrs: left }] });
    const given = pcrSelectionOut.flatMap(({ pcrs }) => pcrs);
    if (given.length === 0) break;
    for (const [i, index] of given.entries()) {
      const value = pcrValues[i];
      if (value !== undefined) values.push({ index, value });
    }
    left = left.filter((index) => !given.includes(index));
  }
  return values.sort((a, b) => a.index - b.index);
}

/** Extends one PCR, each bank with its own digest. */
export async function extendPcr(
  tpm: TpmClient,
  pcr: number,
  digests: readonly { readonly hashAlg: TPMI_ALG_HASH; readonly digest: Uint8Array }[],
): Promise<void> {
  await tpm.execute(TPM2_PCR_Extend, { pcrHandle: pcr, digests });
}
