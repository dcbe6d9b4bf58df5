/** The base log: a boot of the same machine, whose firmware's records the next boot will have again. */
import { EventType, eventTypeName } from '../event-types.ts';
import type { BootEvent, BootLog } from '../log.ts';
import { digestMatchesPayload } from '../payload.ts';
import { logBanks } from '../replay.ts';
import { type BankDigests, type Measurement, notPredictable } from './measurement.ts';

export const nameOf = (event: BootEvent): string => `base log, event ${event.index}`;

/** @param isUnknown it is of something that the description of the boot would have to tell */
export function kept(event: BootEvent, isUnknown: boolean): Measurement {
  const name = eventTypeName(event.type);
  if (isUnknown) throw notPredictable(`${nameOf(event)}: ${name} is of nothing that was described`);
  const digests: BankDigests = Object.fromEntries(
    event.digests.flatMap(({ algorithm, value }) => (algorithm === undefined ? [] : [[algorithm, value] as const])),
  );
  return { pcr: event.pcr, what: name, source: nameOf(event), over: { digests }, event };
}

const VARIABLE_HEADER = 32;
const LONGEST_NAME = 64;

/** The name in a UEFI_VARIABLE_DATA; empty where it is none. */
export function variableName(data: Uint8Array): string {
  if (data.length < VARIABLE_HEADER) return '';
  const length = Math.min(Buffer.from(data).readUInt32LE(16), LONGEST_NAME);
  return Buffer.from(data.subarray(VARIABLE_HEADER, VARIABLE_HEADER + length * 2)).toString('utf16le');
}

/**
 * The data of a variable that the firmware measured into PCR 7; undefined where it measured none of that name.
 * @throws {BootError} `boot.not-predictable` where there are two, or the digest is not over what is shown
 */
export function measuredVariable(base: BootLog, name: string): Uint8Array | undefined {
  const [event, another] = base.events.filter(
    ({ type, data }) => type === EventType.EV_EFI_VARIABLE_DRIVER_CONFIG && variableName(data) === name,
  );
  if (event === undefined) return undefined;
  if (another !== undefined) throw notPredictable(`${nameOf(another)}: variable ${name} is measured a second time`);
  const [bank] = logBanks(base);
  if (bank === undefined || digestMatchesPayload(event, bank) !== 'matches')
    throw notPredictable(`${nameOf(event)}: does not vouch for variable ${name}`, 'give its data');
  const at = VARIABLE_HEADER + name.length * 2;
  const size = Buffer.from(event.data).readBigUInt64LE(24);
  if (size !== BigInt(event.data.length - at))
    throw notPredictable(`${nameOf(event)}: variable ${name} is not of the size that it says`, 'give its data');
  return event.data.subarray(at);
}
