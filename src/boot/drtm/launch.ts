/** Dynamic launches (DRTM): what was measured into PCRs 17–22, and which component differs between two. */
import { type DigestAlgorithm, digestInfo, toHex, withoutFinalNuls } from '../../bytes/index.ts';
import { BootError } from '../error.ts';
import { eventTypeName } from '../event-types.ts';
import type { BootEvent, BootLog } from '../log.ts';
import { isExtended, logBanks } from '../replay.ts';
import { isLaunchPcr, type LaunchEvent, nameLaunchEvents } from './names.ts';

const PRINTABLE = /^[\x20-\x7e]+$/;

/** One measurement of a launch. */
export interface LaunchMeasurement {
  /** Position of the event in its log. */
  readonly index: number;
  readonly pcr: number;
  readonly typeName: string;
  /** What was measured, as `nameLaunchEvents` has it. A remark that no PCR vouches for. */
  readonly component: string;
  /** Lower-case hex, in the bank asked for. */
  readonly digest: string;
}

/**
 * A component that two launches do not have alike.
 * - `changed`: both have it, with other digests; `added`, `removed`: `from` or `to` is undefined
 * - `reordered`: a PCR was extended with the same digests in another order, and so holds another value; `component` is the
 *   first that stands elsewhere, `from` and `to` are the digests at its place
 */
export interface LaunchChange {
  readonly kind: 'changed' | 'added' | 'removed' | 'reordered';
  readonly pcr: number;
  readonly component: string;
  /** Lower-case hex, before and after. */
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/** What a log extended PCRs 17–22 with in `bank`, in its order. Marks around a launch extend nothing and are none of it. */
export function launchMeasurements(log: BootLog, bank: DigestAlgorithm): LaunchMeasurement[] {
  // txt-stat prints the log once for each bank: only this bank's events count for the order of tboot's.
  const ofBank = log.events.filter(({ digests }) => digests.some(({ algorithm }) => algorithm === bank));
  const names = nameLaunchEvents(ofBank.map(launchEvent));
  return ofBank.flatMap((event) => {
    const value = event.digests.find(({ algorithm }) => algorithm === bank)?.value;
    if (value === undefined || !isExtended(event) || !isLaunchPcr(event.pcr)) return [];
    const { index, pcr, type } = event;
    const typeName = eventTypeName(type);
    return [{ index, pcr, typeName, component: names.get(index) ?? typeName, digest: toHex(value) }];
  });
}

function launchEvent({ index, pcr, type, data }: BootEvent): LaunchEvent {
  const text = withoutFinalNuls(Buffer.from(data).toString('latin1'));
  return { index, pcr, type, text: PRINTABLE.test(text) ? text : undefined };
}

/**
 * Compares two launches component by component: the nth of a name in a PCR with the nth of that name there.
 * @param bank left out: the one with the longest digests that both logs have
 * @throws {BootError} `boot.no-such-bank` where they have none in common
 */
export function compareLaunches(before: BootLog, after: BootLog, bank = sharedBank(before, after)): LaunchChange[] {
  const old = launchMeasurements(before, bank);
  const now = launchMeasurements(after, bank);
  const changes = componentChanges(old, now);
  const pcrs = new Set(old.map(({ pcr }) => pcr));
  const orders = [...pcrs].flatMap((pcr) => {
    if (changes.some((change) => change.pcr === pcr)) return [];
    const ofPcr = (all: readonly LaunchMeasurement[]) => all.filter((measurement) => measurement.pcr === pcr);
    return orderChange(ofPcr(old), ofPcr(now));
  });
  return [...changes, ...orders];
}

function sharedBank(before: BootLog, after: BootLog): DigestAlgorithm {
  const banks = logBanks(after);
  const shared = logBanks(before).filter((bank) => banks.includes(bank));
  const [longest] = shared.sort((a, b) => digestInfo(b).size - digestInfo(a).size);
  if (longest !== undefined) return longest;
  throw new BootError(
    'boot.no-such-bank',
    `the logs share no bank: ${logBanks(before).join(', ')} and ${banks.join(', ')}`,
  );
}

function componentChanges(old: readonly LaunchMeasurement[], now: readonly LaunchMeasurement[]): LaunchChange[] {
  const before = byPlace(old);
  const after = byPlace(now);
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((place) => {
    const from = before.get(place);
    const to = after.get(place);
    const either = from ?? to;
    if (either === undefined || from?.digest === to?.digest) return [];
    const kind = from === undefined ? 'added' : to === undefined ? 'removed' : 'changed';
    return [{ kind, pcr: either.pcr, component: either.component, from: from?.digest, to: to?.digest } as const];
  });
}

function byPlace(measurements: readonly LaunchMeasurement[]): Map<string, LaunchMeasurement> {
  const counts = new Map<string, number>();
  return new Map(
    measurements.map((measurement) => {
      const name = `${measurement.pcr} ${measurement.typeName} ${measurement.component}`;
      const nth = counts.get(name) ?? 0;
      counts.set(name, nth + 1);
      return [`${nth} ${name}`, measurement];
    }),
  );
}

/** For lists that have equal components. */
function orderChange(old: readonly LaunchMeasurement[], now: readonly LaunchMeasurement[]): LaunchChange[] {
  const at = old.findIndex(({ digest }, i) => digest !== now[i]?.digest);
  const first = old[at];
  if (first === undefined) return [];
  const { pcr, component, digest } = first;
  return [{ kind: 'reordered', pcr, component, from: digest, to: now[at]?.digest }];
}
