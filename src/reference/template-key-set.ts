const KEY_SIZE = 32;
/** At most half full, so that a probe is short; keys are SHA-256, so nobody can choose where they fall. */
const MAX_LOAD = 0.5;

/**
 * A fixed set of template keys (32 bytes, one character a byte), in one block of memory: a look-up touches one or two
 * cache lines, where a Set of strings follows pointers. A third of the judging of a large list was that.
 */
export class TemplateKeySet {
  readonly #slots: Uint8Array;
  readonly #used: Uint8Array;
  readonly #mask: number;
  #size = 0;

  /** @param keys each of 32 characters; others are left out, since no look-up could find them */
  constructor(keys: Iterable<string> = []) {
    const distinct = [...keys].filter((key) => key.length === KEY_SIZE);
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(2, distinct.length / MAX_LOAD)));
    this.#slots = new Uint8Array(capacity * KEY_SIZE);
    this.#used = new Uint8Array(capacity);
    this.#mask = capacity - 1;
    for (const key of distinct) this.#add(key);
  }

  get size(): number {
    return this.#size;
  }

  has(key: string): boolean {
    if (key.length !== KEY_SIZE) return false;
    const slot = this.#find(key);
    return this.#used[slot] === 1;
  }

  #add(key: string): void {
    const slot = this.#find(key);
    if (this.#used[slot] === 1) return;
    this.#used[slot] = 1;
    this.#size += 1;
    for (let i = 0; i < KEY_SIZE; i++) this.#slots[slot * KEY_SIZE + i] = key.charCodeAt(i);
  }

  /** The slot that holds the key, or the free one where it would stand. */
  #find(key: string): number {
    const slots = this.#slots;
    let slot =
      (key.charCodeAt(0) | (key.charCodeAt(1) << 8) | (key.charCodeAt(2) << 16) | (key.charCodeAt(3) << 24)) &
      this.#mask;
    while (this.#used[slot] === 1) {
      const at = slot * KEY_SIZE;
      let i = 0;
      while (i < KEY_SIZE && slots[at + i] === key.charCodeAt(i)) i++;
      if (i === KEY_SIZE) return slot;
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }
}
