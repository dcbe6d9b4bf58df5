/**
 * What is known of files, in memory of a fixed size: a record for each inode, found by device and number, good for one
 * state of the file. No allocation at a look-up, so that a flood of events costs no memory.
 */

import { FileStatus } from '../../sys/index.ts';

/** Words of struct statx (linux/stat.h), counted in 32 bits: what names the inode, and what any change to it changes. */
const INO_LOW = 8;
const INO_HIGH = 9;
const MAJOR = 34;
const MINOR = 35;
const ATTRIBUTES = 2;
const CTIME = 24;
/** Size, ctime and mtime. Any write, chmod, chown or setxattr moves ctime; see {@link FileTable} on when it may not. */
const STATE_WORDS = [10, 11, 24, 25, 26, 28, 29, 30] as const;
const RECORD_WORDS = 4 + STATE_WORDS.length;

/** Records that one inode's place offers: the least recently used one gives way. */
const WAYS = 8;
const SETS = 8192;

/** No place was free: all its records are held on to. */
export const NO_SLOT = -1;

/** Bits of {@link FileTable.flags}. */
export const FLAG = {
  /** Who writes was allowed to: the label follows the content when the last writer is gone, and readers do not wait for it. */
  keepsLabel: 1,
  /** The kernel allows it unasked. */
  ignored: 2,
  /** Somebody else refers to the slot by its number: it is not to be given away. */
  held: 4,
  /** Its label is a signature: nobody may write to it, and no digest replaces it. */
  signed: 8,
  /** It was measured while somebody wrote, and the list says so. */
  violationTold: 16,
  /** A rule `hash` matched who writes: the label follows the content, and readers are asked about as ever. */
  followsContent: 32,
} as const;

/** Who holds on to the record, so that it is not given away. */
const PINNED = FLAG.keepsLabel | FLAG.followsContent | FLAG.held;

/**
 * A record is trusted only together with what else says that the content did not change (`Decider`): ctime stands still
 * for a write within the same tick of the clock, for a store through a shared mapping into a page that is dirty already,
 * for any such store on tmpfs, and where the clock was set back.
 */
export class FileTable {
  readonly #records = new Int32Array(SETS * WAYS * RECORD_WORDS);
  readonly #used = new Uint32Array(SETS * WAYS);
  /** Tasks of the policy that are done for this state of the file, and those that failed. */
  readonly done: Int32Array = new Int32Array(SETS * WAYS);
  readonly bad: Int32Array = new Int32Array(SETS * WAYS);
  /** The content that directory labels vouch for and that it was found to be (`Place.id`); negative: that it is not; 0: not known. */
  readonly content: Int32Array = new Int32Array(SETS * WAYS);
  readonly flags: Uint8Array = new Uint8Array(SETS * WAYS);
  /** What the policy wants with each kind of access ({@link PLAN_KINDS}); 0 where that was not asked yet. */
  readonly plans: Uint8Array = new Uint8Array(SETS * WAYS * PLAN_KINDS);
  /** The descriptor that holds a lease on the file; -1 without. */
  readonly lease: Int32Array = new Int32Array(SETS * WAYS).fill(-1);
  #clock = 0;

  /**
   * The record of the inode of this status, emptied where the file is not as it was.
   * @param status struct statx
   */
  slotOf(status: Int32Array): number {
    this.#clock = (this.#clock + 1) >>> 0;
    const first = setOf(status) * WAYS;
    let free = NO_SLOT;
    let oldest = 0xffff_ffff;
    for (let slot = first; slot < first + WAYS; slot++) {
      if (this.#isOf(slot, status)) {
        this.#used[slot] = this.#clock;
        if (!this.#isAsItWas(slot, status)) this.#renew(slot, status);
        return slot;
      }
      const used = this.#used[slot] ?? 0;
      if (used < oldest && this.#mayGo(slot)) {
        oldest = used;
        free = slot;
      }
    }
    if (free !== NO_SLOT) this.#take(free, status);
    return free;
  }

  /** The record of the inode, whatever its state, where there is one. */
  find(status: Int32Array): number {
    const first = setOf(status) * WAYS;
    for (let slot = first; slot < first + WAYS; slot++) if (this.#isOf(slot, status)) return slot;
    return NO_SLOT;
  }

  /** Whether the record is of this state of this file. */
  holds(slot: number, status: Int32Array): boolean {
    return this.#isOf(slot, status) && this.#isAsItWas(slot, status);
  }

  /** Nothing that was found of the content or label holds any longer. */
  forget(slot: number): void {
    this.done[slot] = 0;
    this.bad[slot] = 0;
    this.content[slot] = 0;
  }

  /** The same of every file. @param what.plans the policy is another one, too */
  forgetAll({ plans }: { readonly plans: boolean }): void {
    this.done.fill(0);
    this.bad.fill(0);
    this.content.fill(0);
    if (plans) this.plans.fill(0);
  }

  has(slot: number, flag: number): boolean {
    return slot !== NO_SLOT && ((this.flags[slot] ?? 0) & flag) !== 0;
  }

  set(slot: number, flag: number, isSet: boolean): void {
    if (slot === NO_SLOT) return;
    const flags = this.flags[slot] ?? 0;
    this.flags[slot] = isSet ? flags | flag : flags & ~flag;
  }

  #isOf(slot: number, status: Int32Array): boolean {
    const at = slot * RECORD_WORDS;
    const records = this.#records;
    return (
      records[at] === status[INO_LOW] &&
      records[at + 1] === status[INO_HIGH] &&
      records[at + 2] === status[MAJOR] &&
      records[at + 3] === status[MINOR] &&
      this.#used[slot] !== 0
    );
  }

  #isAsItWas(slot: number, status: Int32Array): boolean {
    const at = slot * RECORD_WORDS + 4;
    for (let word = 0; word < STATE_WORDS.length; word++) {
      if (this.#records[at + word] !== status[STATE_WORDS[word] ?? 0]) return false;
    }
    return true;
  }

  #mayGo(slot: number): boolean {
    return (this.lease[slot] ?? -1) < 0 && ((this.flags[slot] ?? 0) & PINNED) === 0;
  }

  #take(slot: number, status: Int32Array): void {
    const at = slot * RECORD_WORDS;
    this.#records[at] = status[INO_LOW] ?? 0;
    this.#records[at + 1] = status[INO_HIGH] ?? 0;
    this.#records[at + 2] = status[MAJOR] ?? 0;
    this.#records[at + 3] = status[MINOR] ?? 0;
    this.#used[slot] = Math.max(this.#clock, 1);
    this.flags[slot] = 0;
    this.#renew(slot, status);
  }

  /** What is known of who writes outlives the change that they make. */
  #renew(slot: number, status: Int32Array): void {
    const at = slot * RECORD_WORDS + 4;
    for (let word = 0; word < STATE_WORDS.length; word++) {
      this.#records[at + word] = status[STATE_WORDS[word] ?? 0] ?? 0;
    }
    this.flags[slot] = (this.flags[slot] ?? 0) & (PINNED | FLAG.violationTold);
    this.forget(slot);
    this.plans.fill(0, slot * PLAN_KINDS, (slot + 1) * PLAN_KINDS);
  }
}

/** Kinds of access that a file's record keeps a plan for. */
export const PLAN_KINDS = 8;

function setOf(status: Int32Array): number {
  const low = status[INO_LOW] ?? 0;
  const other = (status[INO_HIGH] ?? 0) ^ Math.imul(status[MAJOR] ?? 0, 0x85eb) ^ Math.imul(status[MINOR] ?? 0, 0xc2b2);
  return (Math.imul(low ^ other, 0x9e3779b1) >>> 19) & (SETS - 1);
}

/** The struct of a status as the words that the table reads. */
export function wordsOf({ bytes }: FileStatus): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

/** The other way round: of words that crossed from another thread. */
export function statusOf({ buffer, byteOffset, byteLength }: Int32Array): FileStatus {
  return new FileStatus(Buffer.from(buffer, byteOffset, byteLength));
}

/** A file's inode and state as one text, for messages between threads. */
export function stateText(status: Int32Array): string {
  return [INO_LOW, INO_HIGH, MAJOR, MINOR, ...STATE_WORDS].map((word) => status[word]).join(' ');
}

/** When anything of the file changed last, in ms since 1970. */
export function changedMs(status: Int32Array): number {
  return (
    ((status[CTIME + 1] ?? 0) * 2 ** 32 + ((status[CTIME] ?? 0) >>> 0)) * 1000 + ((status[CTIME + 2] ?? 0) >>> 0) / 1e6
  );
}

/** STATX_ATTR_IMMUTABLE of stx_attributes: neither content nor attributes change before somebody takes that away. */
export function isImmutable(status: Int32Array): boolean {
  return ((status[ATTRIBUTES] ?? 0) & 0x10) !== 0;
}

/** One number for a device. */
export function deviceKey(status: Int32Array): number {
  return (status[MAJOR] ?? 0) * 2 ** 20 + (status[MINOR] ?? 0);
}
