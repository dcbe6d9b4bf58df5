import type { EntrySpan } from '../ima/index.ts';

const KEY_SIZE = 32;
const SHA1_SIZE = 20;
/** Key, then SHA-1: one slot is one cache line. */
const SLOT_SIZE = 64;
/** At most half full, so that a probe is short; keys are SHA-256, so nobody can choose where they fall. */
const MAX_LOAD = 0.5;

/** Both hashes over the same template data, one character a byte. */
export interface TemplateHashes {
  readonly sha256: string;
  readonly sha1: string;
}

/**
 * A fixed set of template data, found by its SHA-256, in one block of memory: a look-up touches a cache line or two.
 * Beside each key stands the SHA-1 of the same data, which the kernel's default list stores with the entry: so an
 * approved entry's template digest is compared and not computed again, a fifth of all that a large list costs.
 */
export class TemplateKeySet {
  readonly #slots: Uint8Array;
  readonly #used: Uint8Array;
  readonly #mask: number;
  #size = 0;

  constructor(members: readonly TemplateHashes[] = []) {
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(2, members.length / MAX_LOAD)));
    this.#slots = new Uint8Array(capacity * SLOT_SIZE);
    this.#used = new Uint8Array(capacity);
    this.#mask = capacity - 1;
    for (const member of members) this.#add(member);
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
    return this.#used[slot] === 1 ? slot : -1;
  }

  /** True where the entry's stored template digest is the SHA-1 that belongs to this slot. */
  storesSha1(slot: number, list: Uint8Array, { digestStart }: Pick<EntrySpan, 'digestStart'>): boolean {
    const at = slot * SLOT_SIZE + KEY_SIZE;
    for (let i = 0; i < SHA1_SIZE; i++) if (this.#slots[at + i] !== list[digestStart + i]) return false;
    return true;
  }

  #add({ sha256, sha1 }: TemplateHashes): void {
    if (sha256.length !== KEY_SIZE || sha1.length !== SHA1_SIZE) throw new RangeError('SHA-256 and SHA-1 are needed');
    const slot = this.#probe(sha256);
    if (this.#used[slot] === 1) return;
    this.#used[slot] = 1;
    this.#size += 1;
    Buffer.from(`${sha256}${sha1}`, 'latin1').copy(this.#slots, slot * SLOT_SIZE);
  }

  /** The slot that holds the key, or the free one where it would stand. */
  #probe(key: string): number {
    const slots = this.#slots;
    let slot =
      (key.charCodeAt(0) | (key.charCodeAt(1) << 8) | (key.charCodeAt(2) << 16) | (key.charCodeAt(3) << 24)) &
      this.#mask;
    while (this.#used[slot] === 1) {
      const at = slot * SLOT_SIZE;
      let i = 0;
      while (i < KEY_SIZE && slots[at + i] === key.charCodeAt(i)) i++;
      if (i === KEY_SIZE) return slot;
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }
}
