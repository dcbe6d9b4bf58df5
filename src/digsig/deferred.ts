/** Signatures that are verified later, all of a key's at once: of many by one P-256 key each costs a third. */
import type { SignedDigest } from '../sys/index.ts';
import type { IntegrityKey } from './public-keys.ts';
import { verifierOf } from './verify.ts';

/** Collects signatures until one of them is asked for. */
export class DeferredSignatures {
  readonly #byKey = new Map<IntegrityKey, (SignedDigest & { readonly at: number })[]>();
  readonly #answers: boolean[] = [];
  #count = 0;

  /** How many were deferred; the next one's number. */
  get count(): number {
    return this.#count;
  }

  /** False where nothing is won by it: verify this one at once. The bytes are to stay as they are. */
  defer(key: IntegrityKey, digest: Uint8Array, signature: Uint8Array): boolean {
    if (key.kind === 'rsa' || !verifierOf(key).isWorthBatching) return false;
    const those = this.#byKey.get(key) ?? [];
    those.push({ digest, signature, at: this.#count });
    this.#byKey.set(key, those);
    this.#count += 1;
    return true;
  }

  /** Whether the signature of that number is valid. */
  isValid(number: number): boolean {
    this.#settle();
    return this.#answers[number] === true;
  }

  #settle(): void {
    for (const [key, those] of this.#byKey) {
      const answers = verifierOf(key).verifyAll(those);
      for (const [place, { at }] of those.entries()) this.#answers[at] = answers[place] === true;
    }
    this.#byKey.clear();
  }
}
