import { type DigestAlgorithm, fromHex, isDigestAlgorithm } from '../bytes/index.ts';
import { type BootAggregateCheck, checkBootAggregate } from './boot-aggregate.ts';
import type { MeasurementEntry } from './entry.ts';
import { ImaError } from './error.ts';
import { ListReader } from './reader.ts';
import { ListReplay } from './replay.ts';
import type { PcrTarget, PcrValues } from './replay-state.ts';

/** One PCR that the list extends, against its real value. */
export interface PcrCheck {
  readonly bank: DigestAlgorithm;
  readonly pcr: number;
  readonly real: string;
  /** What the whole list replays to. */
  readonly virtual: string;
  /** Number of the list's first entries after which the replay held the real value; undefined: at no point. */
  readonly reachedAt: number | undefined;
  /** The value was reached with SHA-1 digests padded to the bank, as kernels before 5.8 extend. */
  readonly padded: boolean;
}

export interface ListCheck {
  readonly entries: number;
  readonly violations: number;
  readonly badTemplateDigests: readonly number[];
  readonly bootAggregate: BootAggregateCheck;
  readonly pcrs: readonly PcrCheck[];
}

interface Watched {
  readonly target: PcrTarget;
  reachedAt: number | undefined;
}

/** One way in which the kernel may have filled the banks. */
class Hypothesis {
  readonly replay: ListReplay;
  readonly watched: readonly Watched[];

  constructor(replay: ListReplay, targets: readonly PcrTarget[]) {
    this.replay = replay;
    this.watched = targets.map((target) => ({ target, reachedAt: undefined }));
  }

  add(entry: MeasurementEntry): void {
    this.replay.add(entry);
    for (const watch of this.watched) {
      if (watch.target.pcr === entry.pcr && this.replay.holds([watch.target])) watch.reachedAt = this.replay.entries;
    }
  }
}

/**
 * What the Linux Test Project's `ima_tpm` checks: the boot_aggregate against the real PCRs 0–9, and the "virtual PCR"
 * that the list replays to against the real one (PCR 10, and any other that the list extends).
 *
 * The list may be longer than what the PCR value covers: the kernel lists an entry before it extends, and goes on while
 * the PCRs are read. So a PCR holds where the replay passes through its value; `reachedAt` says where.
 * @param chunks the list, in either form
 * @param pcrs real values
 * @throws {ImaError} `ima.cannot-check` where the PCRs given have neither a PCR that the list extends nor the bank
 *   of its boot_aggregate
 */
export function checkList(chunks: Iterable<Uint8Array>, pcrs: PcrValues): ListCheck {
  const targets = targetsOf(pcrs);
  const banks = [...new Set(targets.map(({ bank }) => bank))];
  const wide: readonly DigestAlgorithm[] = banks.filter((bank) => bank !== 'sha1' && bank !== 'md5');
  const own = new Hypothesis(new ListReplay({ banks }), targets);
  const padded = new Hypothesis(
    new ListReplay({ banks, paddedBanks: wide, checkTemplateDigests: false }),
    targets.filter(({ bank }) => wide.includes(bank)),
  );
  let first: MeasurementEntry | undefined;
  const use = (entries: readonly MeasurementEntry[]): void => {
    first ??= entries[0];
    for (const entry of entries) {
      own.add(entry);
      if (wide.length > 0) padded.add(entry);
    }
  };
  const reader = new ListReader();
  for (const chunk of chunks) use(reader.push(chunk));
  use(reader.end());
  const checks = comparePcrs(own, padded);
  const aggregate = checkBootAggregate(first, pcrs);
  if (checks.length === 0 && aggregate.verdict !== 'matches' && aggregate.verdict !== 'differs') {
    const detail = 'the PCR values given are of no PCR that this list extends, nor of the bank of its boot_aggregate';
    throw new ImaError('ima.cannot-check', detail, 'give PCR 0 to 10, in the bank of ima_hash or sha256');
  }
  return {
    entries: own.replay.entries,
    violations: own.replay.violations,
    badTemplateDigests: own.replay.badTemplateDigests,
    bootAggregate: aggregate,
    pcrs: checks,
  };
}

/** True where everything that could be checked holds, and every PCR that the list extends was reached in each bank given. */
export function listHolds(check: ListCheck): boolean {
  const { bootAggregate, pcrs, badTemplateDigests } = check;
  return (
    bootAggregate.verdict !== 'differs' &&
    badTemplateDigests.length === 0 &&
    pcrs.every(({ reachedAt }) => reachedAt !== undefined)
  );
}

function targetsOf(pcrs: PcrValues): PcrTarget[] {
  return Object.entries(pcrs).flatMap(([bank, values]) =>
    isDigestAlgorithm(bank)
      ? Object.entries(values).map(([pcr, hex]) => ({ bank, pcr: Number(pcr), value: fromHex(hex, `PCR ${pcr}`) }))
      : [],
  );
}

function comparePcrs(own: Hypothesis, padded: Hypothesis): PcrCheck[] {
  const virtual = own.replay.pcrs();
  const reached = padded.replay.pcrs();
  return own.watched.flatMap(({ target, reachedAt }): PcrCheck[] => {
    const { bank, pcr, value } = target;
    const real = Buffer.from(value).toString('hex');
    const ownValue = virtual[bank]?.[pcr];
    const paddedAt = padded.watched.find((watch) => watch.target === target)?.reachedAt;
    const paddedValue = reached[bank]?.[pcr];
    if (ownValue === undefined) return [];
    if (reachedAt === undefined && paddedAt !== undefined && paddedValue !== undefined) {
      return [{ bank, pcr, real, virtual: paddedValue, reachedAt: paddedAt, padded: true }];
    }
    return [{ bank, pcr, real, virtual: ownValue, reachedAt, padded: false }];
  });
}
