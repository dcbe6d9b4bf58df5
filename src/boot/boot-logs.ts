/** The logs of one boot together: what the firmware and its loaders measured, and what systemd measured behind it. */
import { type DigestAlgorithm, digest, digestInfo, fromHex, toHex } from '../bytes/index.ts';
import type { BootLog, ReplayedPcrs } from './log.ts';
import { isReachedByPhases, PHASE_PCR } from './phases.ts';
import { replayBootLog } from './replay.ts';
import { replayWarnings } from './replay-warnings.ts';
import { replayUserspaceLog, type UserspaceRecord } from './userspace-log.ts';

export interface BootLogs {
  /** Undefined where only systemd's records are there. */
  readonly firmware: BootLog | undefined;
  /** What systemd then measured, in the log's order. */
  readonly userspace: readonly UserspaceRecord[];
}

/** Every PCR that one of the logs extended: systemd's records begin where the firmware's log ends. */
export function replayBoot({ firmware, userspace }: BootLogs): ReplayedPcrs {
  const start = firmware === undefined ? {} : replayBootLog(firmware);
  return { ...start, ...replayUserspaceLog(userspace, start) };
}

/** As `replayWarnings`, of all that is there. */
export function bootWarnings({ firmware, userspace }: BootLogs): string[] {
  if (firmware !== undefined) return replayWarnings(firmware);
  return userspace.length === 0 ? [] : ['the firmware’s log is not there: each PCR is taken to begin at zero'];
}

/**
 * The PCRs whose values the logs lead to: the firmware's log alone, with systemd's records up to some one, or in PCR 11
 * with phases of the boot that older systemd writes into no log.
 * @param values of the bank, lower-case hex by index
 */
export function provenPcrs(
  { firmware, userspace }: BootLogs,
  bank: DigestAlgorithm,
  values: Readonly<Record<string, string>>,
): ReadonlySet<number> {
  const replayed = firmware === undefined ? {} : (replayBootLog(firmware, [bank])[bank] ?? {});
  const records = Map.groupBy(userspace, ({ pcr }) => pcr);
  const pcrs = new Set([...Object.keys(replayed).map(Number), ...records.keys()]);
  return new Set(
    [...pcrs].filter((pcr) => {
      const held = values[pcr];
      const start = replayed[pcr] ?? '00'.repeat(digestInfo(bank).size);
      return held !== undefined && isReached(bank, start, held, pcr, records.get(pcr) ?? []);
    }),
  );
}

function isReached(
  bank: DigestAlgorithm,
  start: string,
  held: string,
  pcr: number,
  records: readonly UserspaceRecord[],
): boolean {
  if (start === held) return true;
  if (pcr === PHASE_PCR && isReachedByPhases(bank, start, fromHex(held, `PCR ${pcr}`))) return true;
  let value = start;
  return records.some(({ digests }) => {
    const measured = digests.find(({ algorithm }) => algorithm === bank)?.value;
    if (measured === undefined) return false;
    value = toHex(digest(bank, fromHex(value, `PCR ${pcr}`), measured));
    return value === held;
  });
}
