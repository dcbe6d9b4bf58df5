/** NV indices that count the uses of their authorization value (Part 1, 37.2.7; Part 2, 13.3). */
import { TPM_NT } from '../../tpm/index.ts';
import type { Machine } from './machine.ts';
import type { NvIndex } from './state.ts';

interface Pin {
  readonly count: number;
  readonly limit: number;
}

/** TPMS_NV_PIN_COUNTER_PARAMETERS. */
function pinOf({ data }: NvIndex): Pin {
  const view = Buffer.from(data);
  return { count: view.readUInt32BE(0), limit: view.readUInt32BE(4) };
}

/** Whether the authorization value may still be used. */
export function checkPin(index: NvIndex): boolean {
  if (!index.publicArea.attributes.written) return false;
  const { count, limit } = pinOf(index);
  return count < limit;
}

/** PIN Fail counts failures in a row, PIN Pass every success. */
export function countPin(machine: Machine, index: NvIndex, isGood: boolean): void {
  const { nt, written } = index.publicArea.attributes;
  if (!written || (nt !== TPM_NT.PIN_FAIL && (nt !== TPM_NT.PIN_PASS || !isGood))) return;
  const { count, limit } = pinOf(index);
  const next = nt === TPM_NT.PIN_FAIL && isGood ? 0 : count + 1;
  const data = Buffer.alloc(8);
  data.writeUInt32BE(next >>> 0, 0);
  data.writeUInt32BE(limit, 4);
  index.data = data;
  machine.changed();
}
