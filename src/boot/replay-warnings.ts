/** What makes a replayed value doubtful: a log that contradicts itself, or leaves out what a TPM was extended with. */
import { EventType } from './event-types.ts';
import type { BootEvent, BootLog } from './log.ts';
import { isExtended, logBanks, startupLocalityOf } from './replay.ts';

/** One sentence each, for people: nothing where the replayed values are what a TPM holds if the log is true. */
export function replayWarnings(log: BootLog): string[] {
  return [...missingDigests(log), ...uncomputableBanks(log), ...startOfPcr0(log), ...unlaunched(log)];
}

/** A TPM that has the bank was extended in it by every event. */
function missingDigests(log: BootLog): string[] {
  const extended = log.events.filter(isExtended);
  return logBanks(log).flatMap((bank) => {
    const without = extended.filter(({ digests }) => digests.every(({ algorithm }) => algorithm !== bank));
    const [first] = without;
    if (first === undefined) return [];
    if (without.length === extended.length) return [`no event has a ${bank} digest, though the log lists this bank`];
    const count = without.length === 1 ? '1 event has' : `${without.length} events have`;
    return [`${count} no ${bank} digest, the first event ${first.index}: a TPM with this bank holds other values`];
  });
}

function uncomputableBanks({ specId, events }: BootLog): string[] {
  const known = new Set(events.flatMap(({ digests }) => digests.filter(isKnown).map(({ tpmAlg }) => tpmAlg)));
  const listed = (specId?.algorithms ?? []).filter(({ tpmAlg }) => !known.has(tpmAlg));
  const used = new Set(events.flatMap(({ digests }) => digests.map(({ tpmAlg }) => tpmAlg)));
  return listed.flatMap(({ tpmAlg }) =>
    used.has(tpmAlg) ? [`bank 0x${tpmAlg.toString(16)} cannot be computed: its values are left out`] : [],
  );
}

const isKnown = ({ algorithm }: BootEvent['digests'][number]): boolean => algorithm !== undefined;

/** TCG PC Client Platform Firmware Profile 1.06, 10.4.5.3: one StartupLocality event, of PCR 0, before its first extend. */
function startOfPcr0({ events }: BootLog): string[] {
  const first = events.find((event) => event.pcr === 0 && isExtended(event));
  const told = events.flatMap((event) => {
    const locality = startupLocalityOf(event);
    return locality === undefined ? [] : [{ event, locality }];
  });
  const warnings = told.flatMap(({ event, locality }) => {
    const where = `event ${event.index}, StartupLocality ${locality},`;
    if (event.pcr !== 0) return [`${where} stands in PCR ${event.pcr}: it is not followed`];
    if (![0, 3, 4].includes(locality)) return [`${where} is of a locality that no TPM is started from`];
    return first !== undefined && event.index > first.index
      ? [`${where} comes after PCR 0 was first extended: it is not followed`]
      : [];
  });
  const localities = new Set(told.map(({ locality }) => locality));
  if (localities.size > 1) warnings.push('StartupLocality events contradict one another: PCR 0 may have another value');
  const hcrtm = events.find(({ type }) => type === EventType.EV_EFI_HCRTM_EVENT);
  if (hcrtm !== undefined && hcrtm !== first)
    warnings.push(`event ${hcrtm.index}, of the H-CRTM, is not PCR 0's first: PCR 0 may have another value`);
  if (hcrtm !== undefined && localities.size > 0 && !localities.has(4))
    warnings.push(`event ${hcrtm.index}, of the H-CRTM, contradicts StartupLocality: PCR 0 may have another value`);
  return warnings;
}

/** Intel TXT, tboot and Linux Secure Launch have types of their own, from here to there. */
const LAUNCH_TYPES = { first: 0x400, last: 0x5ff } as const;
const LAUNCH_PCRS = { first: 17, last: 22 } as const;

function unlaunched({ events }: BootLog): string[] {
  const extended = events.filter(
    (event) => isExtended(event) && event.pcr >= LAUNCH_PCRS.first && event.pcr <= LAUNCH_PCRS.last,
  );
  const isLaunch = events.some(({ type }) => type >= LAUNCH_TYPES.first && type <= LAUNCH_TYPES.last);
  return extended.length === 0 || isLaunch
    ? []
    : ['PCRs 17 to 22 are extended and no event is of a launch: they are taken to begin at zero'];
}
