/** PCR values of this machine's TPM, as the kernel shows them. */
import { existsSync, readFileSync } from 'node:fs';
import type { DigestAlgorithm } from '../bytes/index.ts';
import { type PcrValues, parsePcrText } from '../ima/index.ts';

const TPM = '/sys/class/tpm/tpm0';
const BANKS: readonly DigestAlgorithm[] = ['sha1', 'sha256', 'sha384', 'sha512'];
const PCR_COUNT = 24;

/**
 * `pcr-sha256/7` since Linux 5.12, the text file `pcrs` of TPM 1.2 before.
 * @returns undefined where it shows none
 * @throws {ImaError} `ima.pcr-text`
 */
export function machinePcrs(): PcrValues | undefined {
  const values: { [bank in DigestAlgorithm]?: Record<string, string> } = {};
  for (const bank of BANKS) {
    if (!existsSync(`${TPM}/pcr-${bank}`)) continue;
    const read = (pcr: number): string => readFileSync(`${TPM}/pcr-${bank}/${pcr}`, 'latin1').trim().toLowerCase();
    values[bank] = Object.fromEntries(Array.from({ length: PCR_COUNT }, (_, pcr) => [pcr, read(pcr)]));
  }
  if (Object.keys(values).length > 0) return values;
  const old = `${TPM}/device/pcrs`;
  return existsSync(old) ? parsePcrText(readFileSync(old, 'latin1')) : undefined;
}
