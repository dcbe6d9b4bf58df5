/**
 * Hashes that can be put aside and taken up again, as saved contexts and states hold sequences. node:crypto cannot give
 * the middle of a hash away; the classes of @noble/hashes can, to a subclass.
 */
import { _SHA1 } from '@noble/hashes/legacy.js';
import { _SHA256, _SHA384, _SHA512 } from '@noble/hashes/sha2.js';
import { list, oneOf, struct, TPM_ALG, TPM_RC, type TypeOf, tpm2b, uint16, uint32, uint64 } from '../../tpm/index.ts';
import type { ImplementedHash } from './limits.ts';

const HASH = oneOf('ImplementedHash', uint16, TPM_RC.HASH, {
  sha1: TPM_ALG.sha1,
  sha256: TPM_ALG.sha256,
  sha384: TPM_ALG.sha384,
  sha512: TPM_ALG.sha512,
});

export const HASH_STATE = struct('HashState', {
  hashAlg: HASH,
  /** The chaining value, in words of 32 bits. */
  words: list('words', uint32, 16),
  /** Bytes that came, those in `pending` included. */
  length: uint64,
  /** What does not fill a block yet. */
  pending: tpm2b('pending', 127),
});
export type HashState = TypeOf<typeof HASH_STATE>;

type Middle = Omit<HashState, 'hashAlg'>;

interface ResumableHash {
  update(data: Uint8Array): unknown;
  digest(): Uint8Array;
  /** Not after `digest`. */
  middle(): Middle;
  /** Of a hash that has just been made. */
  resume(middle: Middle): this;
}

// Four classes with the same two methods: `get` and `set` are each class's own and protected, with its number of words.

const unsigned = (words: readonly number[]): number[] => words.map((word) => word >>> 0);
/** Both kinds of class keep signed words. */
const signed = (words: readonly number[]): number[] => words.map((word) => word | 0);

class Sha1 extends _SHA1 implements ResumableHash {
  middle(): Middle {
    return { words: unsigned(this.get()), length: BigInt(this.length), pending: this.buffer.slice(0, this.pos) };
  }

  resume({ words, length, pending }: Middle): this {
    const [a = 0, b = 0, c = 0, d = 0, e = 0] = signed(words);
    this.set(a, b, c, d, e);
    this.buffer.set(pending);
    this.pos = pending.length;
    this.length = Number(length);
    return this;
  }
}

class Sha256 extends _SHA256 implements ResumableHash {
  middle(): Middle {
    return { words: unsigned(this.get()), length: BigInt(this.length), pending: this.buffer.slice(0, this.pos) };
  }

  resume({ words, length, pending }: Middle): this {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = signed(words);
    this.set(a, b, c, d, e, f, g, h);
    this.buffer.set(pending);
    this.pos = pending.length;
    this.length = Number(length);
    return this;
  }
}

class Sha384 extends _SHA384 implements ResumableHash {
  middle(): Middle {
    return { words: unsigned(this.get()), length: BigInt(this.length), pending: this.buffer.slice(0, this.pos) };
  }

  resume({ words, length, pending }: Middle): this {
    const [ah = 0, al = 0, bh = 0, bl = 0, ch = 0, cl = 0, dh = 0, dl = 0] = signed(words);
    const [eh = 0, el = 0, fh = 0, fl = 0, gh = 0, gl = 0, hh = 0, hl = 0] = signed(words.slice(8));
    this.set(ah, al, bh, bl, ch, cl, dh, dl, eh, el, fh, fl, gh, gl, hh, hl);
    this.buffer.set(pending);
    this.pos = pending.length;
    this.length = Number(length);
    return this;
  }
}

class Sha512 extends _SHA512 implements ResumableHash {
  middle(): Middle {
    return { words: unsigned(this.get()), length: BigInt(this.length), pending: this.buffer.slice(0, this.pos) };
  }

  resume({ words, length, pending }: Middle): this {
    const [ah = 0, al = 0, bh = 0, bl = 0, ch = 0, cl = 0, dh = 0, dl = 0] = signed(words);
    const [eh = 0, el = 0, fh = 0, fl = 0, gh = 0, gl = 0, hh = 0, hl = 0] = signed(words.slice(8));
    this.set(ah, al, bh, bl, ch, cl, dh, dl, eh, el, fh, fl, gh, gl, hh, hl);
    this.buffer.set(pending);
    this.pos = pending.length;
    this.length = Number(length);
    return this;
  }
}

const NEW: Readonly<Record<ImplementedHash, () => ResumableHash>> = {
  sha1: () => new Sha1(),
  sha256: () => new Sha256(),
  sha384: () => new Sha384(),
  sha512: () => new Sha512(),
};

const resumed = (state: HashState): ResumableHash => NEW[state.hashAlg]().resume(state);

/** @param data what is hashed first */
export function startHash(hashAlg: ImplementedHash, data: Uint8Array = new Uint8Array(0)): HashState {
  const hash = NEW[hashAlg]();
  hash.update(data);
  return { hashAlg, ...hash.middle() };
}

export function updateHash(state: HashState, data: Uint8Array): HashState {
  const hash = resumed(state);
  hash.update(data);
  return { hashAlg: state.hashAlg, ...hash.middle() };
}

export function finishHash(state: HashState): Uint8Array {
  return resumed(state).digest();
}
