import { hash } from 'node:crypto';
import { type DigestAlgorithm, digestInfo, digestInfoByTpmAlg } from '../bytes/index.ts';
import { BootError } from './error.ts';
import { EventType } from './event-types.ts';
import type { BootEvent, BootLog, ReplayedPcrs } from './log.ts';

const MAX_PCR = 23;
const STARTUP_LOCALITY = Buffer.from('StartupLocality\0', 'latin1');

/**
 * Events that extend no PCR, whatever their digests say: EV_NO_ACTION is information, and the two markers of Linux Secure
 * Launch only enclose what the kernel then extends (its arch/x86/kernel/slaunch.c, slaunch_tpm2_extend).
 */
const NOT_EXTENDED: ReadonlySet<number> = new Set([
  EventType.EV_NO_ACTION,
  EventType.TXT_EVTYPE_SLAUNCH_START,
  EventType.TXT_EVTYPE_SLAUNCH_END,
]);

/** True for the events that a PCR was extended with. */
export function isExtended(event: BootEvent): boolean {
  return event.pcr <= MAX_PCR && !NOT_EXTENDED.has(event.type);
}

/** Banks of the log that Assay can compute, in the log's order. */
export function logBanks(log: BootLog): DigestAlgorithm[] {
  if (log.specId === undefined) return ['sha1'];
  return log.specId.algorithms.flatMap(({ tpmAlg }) => digestInfoByTpmAlg(tpmAlg)?.name ?? []);
}

/** What a StartupLocality event says; undefined for others. */
export function startupLocalityOf({ type, data }: BootEvent): number | undefined {
  const isOne = type === EventType.EV_NO_ACTION && STARTUP_LOCALITY.equals(data.subarray(0, STARTUP_LOCALITY.length));
  return isOne ? data[STARTUP_LOCALITY.length] : undefined;
}

/**
 * The locality that PCR 0 began with, which is its first value's last byte: 3 or 4 from the StartupLocality event
 * that stands before PCR 0's first extend; 4 also where that first extend is the H-CRTM's (TPM 2.0 Part 1, "H-CRTM
 * before TPM2_Startup"; PC Client PFP, "Startup Locality Event").
 */
export function startupLocality(log: BootLog): 0 | 3 | 4 {
  for (const event of log.events) {
    if (event.pcr !== 0) continue;
    if (event.type !== EventType.EV_NO_ACTION) return event.type === EventType.EV_EFI_HCRTM_EVENT ? 4 : 0;
    const locality = startupLocalityOf(event);
    if (locality === 3 || locality === 4) return locality;
  }
  return 0;
}

/**
 * Replays a log: the value of each PCR that an event extended, in each bank.
 *
 * PCRs 17–22 begin at zero, as after a launch (without one they read FF and no event extends them). An event that has
 * no digest in a bank does not extend that bank; a bank that nothing extended is left out.
 * @param banks left out: every bank of the log that Assay can compute
 * @throws {BootError} `boot.no-such-bank`
 */
export function replayBootLog(log: BootLog, banks: readonly DigestAlgorithm[] = logBanks(log)): ReplayedPcrs {
  const carried = logBanks(log);
  for (const bank of banks) {
    if (carried.includes(bank)) continue;
    throw new BootError('boot.no-such-bank', `the log has no ${bank} digests`, `use one of ${carried.join(', ')}`);
  }
  const locality = startupLocality(log);
  const replayed = banks.map((bank) => [bank, replayBank(log, bank, locality)] as const);
  return Object.fromEntries(replayed.filter(([, pcrs]) => Object.keys(pcrs).length > 0));
}

function replayBank(log: BootLog, bank: DigestAlgorithm, locality: number): Record<string, string> {
  const { size, opensslName } = digestInfo(bank);
  // Each PCR's running value with room after it for the digest: an extend is one hash over one buffer.
  const pcrs: (Buffer | undefined)[] = [];
  for (const event of log.events) {
    if (!isExtended(event)) continue;
    const value = event.digests.find((digest) => digest.algorithm === bank)?.value;
    if (value === undefined) continue;
    const buffer = pcrs[event.pcr] ?? Buffer.alloc(size * 2);
    if (pcrs[event.pcr] === undefined && event.pcr === 0) buffer[size - 1] = locality;
    pcrs[event.pcr] = buffer;
    buffer.set(value, size);
    buffer.write(hash(opensslName, buffer, 'binary'), 0, 'latin1');
  }
  return Object.fromEntries(
    pcrs.flatMap((buffer, pcr) => (buffer === undefined ? [] : [[pcr, buffer.toString('hex', 0, size)]])),
  );
}
