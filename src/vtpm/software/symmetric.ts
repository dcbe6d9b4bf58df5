/** Block ciphers and their modes (Part 4, CryptSym.c and CryptDes.c; NIST SP 800-38A, SP 800-67). */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { TPMT_SYM_DEF, TPMT_SYM_DEF_OBJECT_NULL } from '../../tpm/index.ts';
import { toBigInt, toBytes } from './ecc.ts';
import { refuse } from './refusal.ts';

export interface BlockCipher {
  readonly algorithm: 'aes' | 'camellia' | 'tdes';
  readonly keyBits: number;
}

export type CipherMode = 'ctr' | 'ofb' | 'cbc' | 'cfb' | 'ecb';
type Direction = 'encrypt' | 'decrypt';

/** The cipher of a declared algorithm; undefined where there is none that this TPM has. */
export function cipherOf(symmetric: TPMT_SYM_DEF | TPMT_SYM_DEF_OBJECT_NULL): BlockCipher | undefined {
  const { algorithm } = symmetric;
  return algorithm === 'aes' || algorithm === 'camellia' || algorithm === 'tdes' ? symmetric : undefined;
}

export function blockSize({ algorithm }: BlockCipher): number {
  return algorithm === 'tdes' ? 8 : 16;
}

function opensslName({ algorithm, keyBits }: BlockCipher, mode: CipherMode): string {
  return algorithm === 'tdes' ? `des-ede3-${mode}` : `${algorithm}-${keyBits}-${mode}`;
}

/** Triple DES with two keys uses the first one again. */
function opensslKey({ algorithm }: BlockCipher, key: Uint8Array): Uint8Array {
  return algorithm === 'tdes' && key.length === 16 ? Buffer.concat([key, key.subarray(0, 8)]) : key;
}

function run(
  direction: Direction,
  cipher: BlockCipher,
  mode: CipherMode,
  key: Uint8Array,
  iv: Uint8Array | null,
  data: Uint8Array,
): Buffer {
  const make = direction === 'encrypt' ? createCipheriv : createDecipheriv;
  const state = make(opensslName(cipher, mode), opensslKey(cipher, key), iv).setAutoPadding(false);
  return Buffer.concat([state.update(data), state.final()]);
}

/** Whole blocks, each by itself. */
export function encryptBlocks(cipher: BlockCipher, key: Uint8Array, blocks: Uint8Array): Buffer {
  return run('encrypt', cipher, 'ecb', key, null, blocks);
}

/** CFB from an IV of zeros, or from `iv`: how a TPM wraps what leaves it (Part 1, 22.2). */
export function cryptCfb(
  direction: Direction,
  cipher: BlockCipher,
  key: Uint8Array,
  data: Uint8Array,
  iv: Uint8Array = new Uint8Array(blockSize(cipher)),
): Buffer {
  return run(direction, cipher, 'cfb', key, iv, data);
}

export interface Chained {
  readonly outData: Buffer;
  /** What the next part of the same data begins with. */
  readonly ivOut: Uint8Array;
}

/** @param data whole blocks for CBC and ECB @param iv empty for ECB, one block else */
export function cryptChained(
  direction: Direction,
  cipher: BlockCipher,
  mode: CipherMode,
  key: Uint8Array,
  iv: Uint8Array,
  data: Uint8Array,
): Chained {
  if (data.length === 0) return { outData: Buffer.alloc(0), ivOut: iv };
  if (mode === 'ecb') return { outData: run(direction, cipher, mode, key, null, data), ivOut: iv };
  if (mode === 'ctr') return cryptCounter(cipher, key, iv, data);
  const outData = run(direction, cipher, mode, key, iv, data);
  const secret = direction === 'encrypt' ? outData : data;
  const chain = mode === 'ofb' ? xor(data, outData) : secret;
  return { outData, ivOut: mode === 'cbc' ? chain.subarray(-iv.length) : lastShift(cipher, key, iv, chain) };
}

const xor = (a: Uint8Array, b: Uint8Array): Buffer => Buffer.from(a.map((byte, i) => byte ^ (b[i] ?? 0)));

/** The shift register of CFB and OFB: a last block that is not full leaves the rest of its key stream there. */
function lastShift(cipher: BlockCipher, key: Uint8Array, iv: Uint8Array, chain: Uint8Array): Uint8Array {
  const size = iv.length;
  const partial = chain.length % size;
  if (partial === 0) return chain.subarray(-size);
  const whole = chain.length - partial;
  const before = whole === 0 ? iv : chain.subarray(whole - size, whole);
  const register = encryptBlocks(cipher, key, before);
  register.set(chain.subarray(whole));
  return register;
}

/** OpenSSL has no counter mode for triple DES: counters through ECB serve every cipher. */
function cryptCounter(cipher: BlockCipher, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Chained {
  const size = iv.length;
  const count = Math.ceil(data.length / size);
  const modulus = 1n << BigInt(size * 8);
  const counter = (i: number): Buffer => toBytes((toBigInt(iv) + BigInt(i)) % modulus, size);
  const stream = encryptBlocks(cipher, key, Buffer.concat(Array.from({ length: count }, (_, i) => counter(i))));
  return { outData: xor(data, stream), ivOut: counter(count) };
}

// --- keys -------------------------------------------------------------------------------------------------------------

/** Part 4, CryptSymKeyValidate. @throws {Refusal} `KEY_SIZE`, or `KEY` for a key of DES that is weak */
export function checkSymmetricKey(cipher: BlockCipher, key: Uint8Array, field?: string): void {
  if (key.length * 8 !== cipher.keyBits) refuse('KEY_SIZE', field);
  if (cipher.algorithm === 'tdes' && !isStrong(key)) refuse('KEY', field);
}

/** A fresh key; those of DES have odd parity. */
export function symmetricKey(cipher: BlockCipher, random: (size: number) => Uint8Array): Uint8Array {
  const { algorithm, keyBits } = cipher;
  for (;;) {
    const key = random(keyBits / 8);
    if (algorithm !== 'tdes') return key;
    const odd = withOddParity(key);
    if (isStrong(odd)) return odd;
  }
}

function withOddParity(key: Uint8Array): Uint8Array {
  return key.map((byte) => {
    const ones = (byte >> 1).toString(2).replaceAll('0', '').length;
    return (byte & 0xfe) | (ones % 2 === 0 ? 1 : 0);
  });
}

/** Weak, semi-weak and possibly weak keys are made of these, the second row in the second half (SP 800-67, 3.3.2). */
const WEAK_OCTETS: readonly [readonly number[], readonly number[]] = [
  [0x01, 0x1f, 0xe0, 0xfe],
  [0x01, 0x0e, 0xf1, 0xfe],
];

/** In all 64 of them the halves agree, and the four octets of a half cancel out. */
function isWeak(single: Uint8Array): boolean {
  const indices = [...single].map((octet, i) => WEAK_OCTETS[i < 4 ? 0 : 1].indexOf(octet));
  const isComposed = indices.every((index, i) => index >= 0 && index === indices[(i + 4) % 8]);
  return isComposed && indices.slice(0, 4).reduce((sum, index) => sum ^ index, 0) === 0;
}

function isStrong(key: Uint8Array): boolean {
  const odd = withOddParity(key);
  const singles = Array.from({ length: key.length / 8 }, (_, i) => Buffer.from(odd.subarray(8 * i, 8 * i + 8)));
  return singles.every((single, i) => !isWeak(single) && singles[i - 1]?.equals(single) !== true);
}
