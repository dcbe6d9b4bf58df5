import type { DigestAlgorithm } from '../bytes/index.ts';
import type { EntrySpan } from './entry.ts';

/** PCR values in lower-case hex, by bank and PCR number. */
export type PcrValues = { readonly [bank in DigestAlgorithm]?: Readonly<Record<string, string>> };

/** Where a replay stands, always between two entries: plain data, fit for JSON, CBOR and a database. */
export interface ReplayState {
  /** Entries replayed since the list's first. */
  readonly entries: number;
  readonly violations: number;
  /** Bytes of those entries: the offset in the binary list at which the next read resumes. */
  readonly bytes: number;
  /** Size of the template digests in this list (20 in the default file); 0 while no entry has been seen. */
  readonly templateDigestSize: number;
  /** Running value of every PCR that an entry extended, in every bank replayed. */
  readonly pcrs: PcrValues;
}

/** Start of every boot: nothing read, every PCR zero. */
export const EMPTY_REPLAY: ReplayState = Object.freeze({
  entries: 0,
  violations: 0,
  bytes: 0,
  templateDigestSize: 0,
  pcrs: {},
});

export interface ReplayOptions {
  /** PCR banks to keep. */
  readonly banks: readonly DigestAlgorithm[];
  /**
   * Those of `banks` into which the kernel extends SHA-1 padded with zeros: every bank but sha1 before Linux 5.8, and
   * banks whose algorithm the kernel has no name for (ima_queue.c:ima_init_digests).
   */
  readonly paddedBanks?: readonly DigestAlgorithm[];
  /**
   * Those of `banks` whose algorithm the kernel could not allocate when IMA started, because it is a module there
   * ("ima: Can not allocate sha384" on the console; SHA-384 and SHA-512 in Debian's cloud kernel 6.1). They get SHA-1
   * padded too, but 0xFF in their full width for a violation.
   */
  readonly unallocatedBanks?: readonly DigestAlgorithm[];
  /** Algorithm of the hash over the template data that `onEntry` gets; left out: the first bank's. */
  readonly keyAlgorithm?: DigestAlgorithm;
  /** Recompute each stored template digest (violations excepted) and note the entries where it differs; true if left out. */
  readonly checkTemplateDigests?: boolean;
  /** The list's own algorithm where its digest size alone does not tell (sm3 or sha3-256 for 32 bytes). */
  readonly templateAlgorithm?: DigestAlgorithm;
  /** Resume from here; left out: from the start of the list. */
  readonly state?: ReplayState;
}

/** A PCR value that the replay is to reach, as a quote gives it. */
export interface PcrTarget {
  readonly bank: DigestAlgorithm;
  readonly pcr: number;
  readonly value: Uint8Array;
}

/**
 * Called for each entry after its PCRs were extended.
 * @param key hash of the template data in `keyAlgorithm`, one character a byte (latin1): a look-up key as it is
 * @param span the entry's place in `list`; reused for the next entry
 * @returns false to stop after this entry
 */
export type OnEntry = (key: string, span: EntrySpan, list: Buffer) => boolean;

export interface RunOptions {
  readonly onEntry?: OnEntry;
  /** Stop where all of these hold at once, which is looked at before the first entry too. */
  readonly until?: readonly PcrTarget[];
}

export interface RunResult {
  /** Bytes of the given buffer that were replayed: whole entries. */
  readonly consumed: number;
  /** All of `until` hold now (false where none were given). */
  readonly reached: boolean;
  /** What is left is the beginning of an entry (never set where the run was stopped). */
  readonly incomplete: boolean;
}
