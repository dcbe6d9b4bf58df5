/** Dynamic launches (DRTM): what was measured into PCRs 17–22, and which component differs between two. */
import { type DigestAlgorithm, toHex } from '../../bytes/index.ts';
import { eventTypeName } from '../event-types.ts';
import type { BootEvent, BootLog } from '../log.ts';
import { isExtended } from '../replay.ts';

/** PCRs that a launch resets to zero and then extends (TCG PC Client Platform TPM Profile, "PCR Attributes"). */
const FIRST_PCR = 17;
const LAST_PCR = 22;
const PRINTABLE = /^[\x20-\x7e]+$/;

/** One measurement of a launch. */
export interface LaunchMeasurement {
  /** Position of the event in its log. */
  readonly index: number;
  readonly pcr: number;
  readonly typeName: string;
  /** What the log calls it: its text where it has one, else its type. A remark that no PCR vouches for. */
  readonly component: string;
  /** Lower-case hex, in the bank asked for. */
  readonly digest: string;
}

/** A component that two launches do not have alike; `from` or `to` is absent where only the other one has it. */
export interface LaunchDifference {
  readonly pcr: number;
  readonly component: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/** What a log extended PCRs 17–22 with in `bank`, in its order. SKINIT's bracketing EV_NO_ACTION events are none of it. */
export function launchMeasurements(log: BootLog, bank: DigestAlgorithm): LaunchMeasurement[] {
  return log.events.flatMap((event) => {
    const value = event.digests.find(({ algorithm }) => algorithm === bank)?.value;
    const isOfLaunch = isExtended(event) && event.pcr >= FIRST_PCR && event.pcr <= LAST_PCR;
    if (!isOfLaunch || value === undefined) return [];
    const { index, pcr, type } = event;
    return [{ index, pcr, typeName: eventTypeName(type), component: componentOf(event), digest: toHex(value) }];
  });
}

function componentOf({ type, data }: BootEvent): string {
  const text = Buffer.from(data).toString('latin1').replace(/\0+$/, '');
  return PRINTABLE.test(text) ? text : eventTypeName(type);
}

/**
 * Compares two launches component by component: the nth of a name in a PCR with the nth of that name there. The order of
 * extends is part of a PCR too: equal components in another order are no difference here, and another PCR value.
 */
export function compareLaunches(before: BootLog, after: BootLog, bank: DigestAlgorithm): LaunchDifference[] {
  const old = byPlace(launchMeasurements(before, bank));
  const now = byPlace(launchMeasurements(after, bank));
  const places = new Set([...old.keys(), ...now.keys()]);
  return [...places].flatMap((place) => {
    const from = old.get(place);
    const to = now.get(place);
    const either = from ?? to;
    if (either === undefined || from?.digest === to?.digest) return [];
    return [{ pcr: either.pcr, component: either.component, from: from?.digest, to: to?.digest }];
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
