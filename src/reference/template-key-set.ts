import type { EntrySpan } from '../ima/index.ts';

const KEY_SIZE = 32;
const SHA1_SIZE = 20;
/** Key, SHA-1, and whether the slot is taken: what a look-up touches lies together. */
const SLOT_SIZE = 64;
const SLOT_WORDS = SLOT_SIZE / 4;
const TAKEN_WORD = (KEY_SIZE + SHA1_SIZE) / 4;
/**
 * Fuller means longer probes, emptier means more memory that is not in the cache: 0.8 measured some 6 % faster than 0.5
 * for 100,000 members. Keys are SHA-256, so nobody can choose where they fall.
 */
const MAX_LOAD = 0.8;

/** Both hashes over the same template data, one character a byte. */
export interface TemplateHashes {
  readonly sha256: string;
  readonly sha1: string;
}

/**
 * A set of template data, found by its SHA-256, in one block of memory: a look-up touches a cache line or two, and
 * compares words, because a character of a string costs as much as a word.
 * Beside each key stands the SHA-1 of the same data, which the kernel's default list stores with the entry: so an
 * approved entry's template digest is compared and not computed again, a fifth of all that a large list costs.
 */
export class TemplateKeySet {
  readonly #words: Int32Array;
  /** The same memory. */
  readonly #bytes: Buffer;
  readonly #mask: number;
  readonly #wanted = new Int32Array(KEY_SIZE / 4);
  readonly #wantedBytes = Buffer.from(this.#wanted.buffer);
  readonly #capacity: number;
  #size = 0;

  /** @param capacity how many it can hold; left out: `members` and no more */
  constructor(members: readonly TemplateHashes[] = [], capacity = members.length) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(2, capacity / MAX_LOAD)));
    this.#words = new Int32Array(slots * SLOT_WORDS);
    this.#bytes = Buffer.from(this.#words.buffer);
    this.#mask = slots - 1;
    this.#capacity = capacity;
    for (const member of members) this.add(member);
  }

  get size(): number {
    return this.#size;
  }

  has(key: string): boolean {
    return this.find(key) >= 0;
  }

  /** The slot that holds the key; -1 where none does. */
  find(key: string): number {
    if (key.length !== KEY_SIZE) return -1;
    const slot = this.#probe(key);
    return this.#isTaken(slot) ? slot : -1;
  }

  /** True where the entry's stored template digest is the SHA-1 that belongs to this slot. */
  storesSha1(slot: number, list: Uint8Array, { digestStart }: Pick<EntrySpan, 'digestStart'>): boolean {
    const at = slot * SLOT_SIZE + KEY_SIZE;
    for (let i = 0; i < SHA1_SIZE; i++) if (this.#bytes[at + i] !== list[digestStart + i]) return false;
    return true;
  }

  /** @returns false where the set is full and does not hold it */
  add({ sha256, sha1 }: TemplateHashes): boolean {
    if (sha256.length !== KEY_SIZE || sha1.length !== SHA1_SIZE) throw new RangeError('SHA-256 and SHA-1 are needed');
    const slot = this.#probe(sha256);
    if (this.#isTaken(slot)) return true;
    if (this.#size >= this.#capacity) return false;
    this.#size += 1;
    this.#bytes.write(`${sha256}${sha1}`, slot * SLOT_SIZE, 'latin1');
    this.#words[slot * SLOT_WORDS + TAKEN_WORD] = 1;
    return true;
  }

  #isTaken(slot: number): boolean {
    return this.#words[slot * SLOT_WORDS + TAKEN_WORD] === 1;
  }

  /** The slot that holds the key, or the free one where it would stand. */
  #probe(key: string): number {
    const wanted = this.#wanted;
    const words = this.#words;
    const mask = this.#mask;
    this.#wantedBytes.write(key, 0, 'latin1');
    for (let slot = (wanted[0] ?? 0) & mask; ; slot = (slot + 1) & mask) {
      const at = slot * SLOT_WORDS;
      if (words[at + TAKEN_WORD] === 0) return slot;
      let i = 0;
      while (i < wanted.length && words[at + i] === wanted[i]) i++;
      if (i === wanted.length) return slot;
    }
  }
}
