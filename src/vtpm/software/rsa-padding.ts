/** RSA encodings: RFC 8017, 9.1 (PSS) and 9.2 (PKCS #1 v1.5) over a digest that is given, 7.1 (OAEP) and 7.2 of messages. */
import { bytesEqual, type DigestAlgorithm, digest, digestInfo } from '../../bytes/index.ts';

/** DER of DigestInfo up to the digest (RFC 8017, 9.2, note 1). */
const DIGEST_INFO: Readonly<Partial<Record<DigestAlgorithm, string>>> = {
  sha1: '3021300906052b0e03021a05000414',
  sha256: '3031300d060960864801650304020105000420',
  sha384: '3041300d060960864801650304020205000430',
  sha512: '3051300d060960864801650304020305000440',
};

/** @param size bytes of the modulus */
export function emsaPkcs1(algorithm: DigestAlgorithm, hashed: Uint8Array, size: number): Buffer {
  const info = Buffer.concat([Buffer.from(DIGEST_INFO[algorithm] ?? '', 'hex'), hashed]);
  const padding = Buffer.alloc(size - info.length - 3, 0xff);
  return Buffer.concat([Buffer.of(0, 1), padding, Buffer.of(0), info]);
}

function mgf1(algorithm: DigestAlgorithm, seed: Uint8Array, size: number): Buffer {
  const blocks: Buffer[] = [];
  for (let i = 0; i * digestInfo(algorithm).size < size; i++) {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(i);
    blocks.push(digest(algorithm, seed, counter));
  }
  return Buffer.concat(blocks, size);
}

const xor = (a: Uint8Array, b: Uint8Array): Buffer => Buffer.from(a.map((byte, i) => byte ^ (b[i] ?? 0)));

/** For a modulus whose length is a whole number of bytes. */
export function emsaPss(algorithm: DigestAlgorithm, hashed: Uint8Array, size: number, salt: Uint8Array): Buffer {
  const h = digest(algorithm, Buffer.alloc(8), hashed, salt);
  const dbSize = size - h.length - 1;
  const db = Buffer.concat([Buffer.alloc(dbSize - salt.length - 1), Buffer.of(1), salt]);
  const masked = xor(db, mgf1(algorithm, h, dbSize));
  masked[0] = (masked[0] ?? 0) & 0x7f;
  return Buffer.concat([masked, h, Buffer.of(0xbc)]);
}

/** RFC 8017, 9.1.2, with a salt of any length. */
export function isPssEncoding(algorithm: DigestAlgorithm, hashed: Uint8Array, encoded: Uint8Array): boolean {
  const { size } = digestInfo(algorithm);
  const dbSize = encoded.length - size - 1;
  if (dbSize < 1 || encoded.at(-1) !== 0xbc || ((encoded[0] ?? 0) & 0x80) !== 0) return false;
  const h = encoded.subarray(dbSize, dbSize + size);
  const db = xor(encoded.subarray(0, dbSize), mgf1(algorithm, h, dbSize));
  db[0] = (db[0] ?? 0) & 0x7f;
  const one = db.findIndex((byte) => byte !== 0);
  if (one < 0 || db[one] !== 1) return false;
  return bytesEqual(h, digest(algorithm, Buffer.alloc(8), hashed, db.subarray(one + 1)));
}

// --- messages ---------------------------------------------------------------------------------------------------------

/** RFC 8017, 7.2.2: 00 02, at least eight bytes that are not zero, 00, the message. Undefined for anything else. */
export function pkcs1Message(encoded: Uint8Array): Uint8Array | undefined {
  const end = encoded.indexOf(0, 2);
  return encoded[0] === 0 && encoded[1] === 2 && end >= 10 ? encoded.subarray(end + 1) : undefined;
}

/** RFC 8017, 7.1.2. Undefined for what was not encoded with this hash and label. */
export function oaepMessage(
  algorithm: DigestAlgorithm,
  encoded: Uint8Array,
  label: Uint8Array,
): Uint8Array | undefined {
  const { size } = digestInfo(algorithm);
  if (encoded.length < 2 * size + 2 || encoded[0] !== 0) return undefined;
  const masked = encoded.subarray(1 + size);
  const seed = xor(encoded.subarray(1, 1 + size), mgf1(algorithm, masked, size));
  const db = xor(masked, mgf1(algorithm, seed, masked.length));
  if (!bytesEqual(db.subarray(0, size), digest(algorithm, label))) return undefined;
  const one = db.findIndex((byte, i) => i >= size && byte !== 0);
  return one >= 0 && db[one] === 1 ? db.subarray(one + 1) : undefined;
}
