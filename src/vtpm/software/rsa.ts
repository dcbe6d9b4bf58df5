/** RSA's two operations (Part 1, B.3; RFC 8017, 5.1), and its encryption schemes (Part 1, B.3 and B.4; RFC 8017, 7). */
import { constants, privateDecrypt, publicEncrypt } from 'node:crypto';
import { digestInfo } from '../../bytes/index.ts';
import { publicKeyOf, type TPMT_PUBLIC, type TPMT_RSA_DECRYPT } from '../../tpm/index.ts';
import { toBigInt, toBytes } from './ecc.ts';
import { privateKey } from './private-key.ts';
import { refuse } from './refusal.ts';
import { oaepMessage, pkcs1Message } from './rsa-padding.ts';
import type { LoadedObject } from './state.ts';

export type RsaArea = Extract<TPMT_PUBLIC, { type: 'rsa' }>;

/** m^e mod n, as long as the modulus. @throws {Refusal} `VALUE` where m is not below n */
export function rsaPublic(area: RsaArea, message: Uint8Array): Buffer {
  const size = area.unique.length;
  const m = toBigInt(message);
  if (m >= toBigInt(area.unique)) return refuse('VALUE');
  return operate(() => publicEncrypt({ key: publicKeyOf(area), padding: constants.RSA_NO_PADDING }, toBytes(m, size)));
}

/** c^d mod n: "decryption" without padding is the private operation. @throws {Refusal} `SIZE` where c is not below n */
export function rsaPrivate(key: LoadedObject, encoded: Uint8Array): Buffer {
  const { publicArea } = key;
  if (publicArea.type !== 'rsa') return refuse('KEY');
  if (encoded.length !== publicArea.unique.length) return refuse('SIZE');
  if (toBigInt(encoded) >= toBigInt(publicArea.unique)) return refuse('SIZE');
  const own = privateKey(key);
  return operate(() => privateDecrypt({ key: own, padding: constants.RSA_NO_PADDING }, encoded));
}

/** OpenSSL refuses numbers that make no RSA key, which TPM2_LoadExternal lets in. */
function operate(operation: () => Buffer): Buffer {
  try {
    return operation();
  } catch {
    return refuse('VALUE');
  }
}

/** @param label of OAEP, with its terminating NUL @throws {Refusal} `VALUE` for a message that is too long, `HASH` for a hash */
export function rsaEncrypt(
  area: RsaArea,
  scheme: TPMT_RSA_DECRYPT,
  message: Uint8Array,
  label: Uint8Array,
): Uint8Array {
  const size = area.unique.length;
  const key = publicKeyOf(area);
  switch (scheme.scheme) {
    case 'null':
      return rsaPublic(area, message);
    case 'rsaes':
      if (message.length > size - 11) refuse('VALUE');
      return operate(() => publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, message));
    case 'oaep': {
      const { size: hashSize, opensslName: oaepHash } = digestInfo(scheme.hashAlg);
      if (size < 2 * hashSize + 2) refuse('HASH');
      if (message.length > size - 2 * hashSize - 2) refuse('VALUE');
      const padding = constants.RSA_PKCS1_OAEP_PADDING;
      return operate(() => publicEncrypt({ key, padding, oaepHash, oaepLabel: Buffer.from(label) }, message));
    }
  }
}

/**
 * The encoding is undone here: OpenSSL answers a wrong one of PKCS #1 v1.5 with random bytes, where a TPM says so.
 * @throws {Refusal} `SIZE` for a number that is none of the key's, `VALUE` for another encoding
 */
export function rsaDecrypt(
  key: LoadedObject,
  scheme: TPMT_RSA_DECRYPT,
  cipherText: Uint8Array,
  label: Uint8Array,
): Uint8Array {
  const encoded = rsaPrivate(key, cipherText);
  if (scheme.scheme === 'null') return encoded;
  const message = scheme.scheme === 'rsaes' ? pkcs1Message(encoded) : oaepMessage(scheme.hashAlg, encoded, label);
  return message ?? refuse('VALUE');
}
