/** What both ends of a session compute: TPM 2.0 Part 1, 19.6 (keys and HMACs) and 21 (parameter encryption). */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { type DigestAlgorithm, digestInfo } from '../bytes/index.ts';
import { encode } from './codec.ts';
import { KDFa } from './crypto/kdf.ts';
import { TpmError } from './errors.ts';
import { TPMA_SESSION, type TPMT_SYM_DEF } from './structures.ts';

/** An authorization value as HMACs take it: without trailing zeros (Part 1, 19.6.4.3). */
export function trimAuth(auth: Uint8Array): Uint8Array {
  let end = auth.length;
  while (end > 0 && auth[end - 1] === 0) end--;
  return auth.subarray(0, end);
}

/** Part 1, 19.6.8; empty for a session that is neither bound nor salted. */
export function deriveSessionKey(
  authHash: DigestAlgorithm,
  bindAuth: Uint8Array,
  salt: Uint8Array,
  nonceTPM: Uint8Array,
  nonceCaller: Uint8Array,
): Uint8Array {
  const key = Buffer.concat([trimAuth(bindAuth), salt]);
  return KDFa(authHash, key, 'ATH', nonceTPM, nonceCaller, digestInfo(authHash).size * 8);
}

export interface SessionHmacInput {
  readonly authHash: DigestAlgorithm;
  /** sessionKey ‖ authValue, as the session's kind has it. */
  readonly key: Uint8Array;
  /** cpHash or rpHash. */
  readonly pHash: Uint8Array;
  readonly nonceNewer: Uint8Array;
  readonly nonceOlder: Uint8Array;
  /** In the first session of a command only: nonceTPM of another session that decrypts, then of another that encrypts. */
  readonly otherNonces?: readonly Uint8Array[];
  readonly attributes: TPMA_SESSION;
}

/** Part 1, 19.6.5. */
export function sessionHmac(input: SessionHmacInput): Buffer {
  const hmac = createHmac(digestInfo(input.authHash).opensslName, input.key);
  hmac.update(input.pHash).update(input.nonceNewer).update(input.nonceOlder);
  for (const nonce of input.otherNonces ?? []) hmac.update(nonce);
  return hmac.update(encode(TPMA_SESSION, input.attributes)).digest();
}

export interface ParameterCipher {
  readonly authHash: DigestAlgorithm;
  readonly symmetric: TPMT_SYM_DEF;
  /** sessionKey ‖ authValue of the entity that the session authorizes, if any. */
  readonly sessionValue: Uint8Array;
  readonly nonceNewer: Uint8Array;
  readonly nonceOlder: Uint8Array;
}

/** Encrypts or decrypts the content of the first parameter's buffer (Part 1, 21.2 and 21.3). */
export function cryptParameter(direction: 'encrypt' | 'decrypt', cipher: ParameterCipher, data: Uint8Array): Buffer {
  const { authHash, symmetric, sessionValue, nonceNewer, nonceOlder } = cipher;
  if (symmetric.algorithm === 'xor') {
    // The session's hash, not the one that TPMT_SYM_DEF names (libtpms, CryptUtil.c: CryptParameterEncryption).
    const mask = KDFa(authHash, sessionValue, 'XOR', nonceNewer, nonceOlder, data.length * 8);
    return Buffer.from(data.map((byte, i) => byte ^ (mask[i] ?? 0)));
  }
  if (symmetric.algorithm !== 'aes' || symmetric.mode !== 'cfb') {
    throw new TpmError('tpm.unsupported', `parameter encryption with ${symmetric.algorithm} is not supported`);
  }
  const keySize = symmetric.keyBits / 8;
  const keyAndIv = KDFa(authHash, sessionValue, 'CFB', nonceNewer, nonceOlder, symmetric.keyBits + 128);
  const make = direction === 'encrypt' ? createCipheriv : createDecipheriv;
  const state = make(`aes-${symmetric.keyBits}-cfb`, keyAndIv.subarray(0, keySize), keyAndIv.subarray(keySize));
  return Buffer.concat([state.update(data), state.final()]);
}

/** A copy of marshalled parameters whose first TPM2B's content went through `crypt`; the size stays (Part 1, 21.1). */
export function withFirstBuffer(parameters: Uint8Array, crypt: (content: Uint8Array) => Uint8Array): Uint8Array {
  const view = new DataView(parameters.buffer, parameters.byteOffset, parameters.byteLength);
  const size = parameters.length < 2 ? 0 : view.getUint16(0);
  if (parameters.length < 2 + size) {
    throw new TpmError('tpm.malformed', `the first parameter says ${size} bytes, ${parameters.length - 2} are there`);
  }
  const out = Uint8Array.from(parameters);
  if (size > 0) out.set(crypt(parameters.subarray(2, 2 + size)), 2);
  return out;
}
