/** Quoted PCR values as text: bank → index → hex. */
import { toHex } from '../bytes/index.ts';
import type { PcrValues } from '../evidence/index.ts';

export type PcrHex = Readonly<Record<string, Readonly<Record<string, string>>>>;

export function pcrsToHex(values: PcrValues): PcrHex {
  const banks = Object.entries(values).map(([bank, pcrs]) => [
    bank,
    Object.fromEntries(Object.entries(pcrs).map(([index, value]) => [index, toHex(value)])),
  ]);
  return Object.fromEntries(banks);
}
