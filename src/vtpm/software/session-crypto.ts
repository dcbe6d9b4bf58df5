/** HMACs and parameter encryption of sessions (Part 1, 19.6 and 21). */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { digestInfo } from '../../bytes/index.ts';
import { encode, KDFa, TPMA_SESSION, type TPMT_SYM_DEF, uint8 } from '../../tpm/index.ts';
import type { Session } from './state.ts';

export type SessionAttributes = ReturnType<typeof TPMA_SESSION.fromNumber>;

const NONE = new Uint8Array(0);

/** Part 1, 19.6.5: HMAC(key, pHash ‖ nonceNewer ‖ nonceOlder ‖ extra nonces ‖ attributes). */
export function sessionHmac(
  { authHash }: Session,
  key: Uint8Array,
  pHash: Uint8Array,
  nonces: readonly Uint8Array[],
  attributes: SessionAttributes,
): Buffer {
  const hmac = createHmac(digestInfo(authHash).opensslName, key).update(pHash);
  for (const nonce of nonces) hmac.update(nonce);
  return hmac.update(encode(uint8, TPMA_SESSION.toNumber(attributes))).digest();
}

export interface ParameterCipher {
  readonly session: Session;
  /** sessionKey ‖ authValue of the entity that the session authorizes. */
  readonly key: Uint8Array;
  readonly nonceNewer: Uint8Array;
  readonly nonceOlder: Uint8Array;
}

/** Part 1, 21.3: XOR with KDFa's output. */
function obfuscate(cipher: ParameterCipher, hashAlg: Session['authHash'], data: Uint8Array): Uint8Array {
  if (data.length === 0) return NONE;
  const mask = KDFa(hashAlg, cipher.key, 'XOR', cipher.nonceNewer, cipher.nonceOlder, data.length * 8);
  return data.map((byte, i) => byte ^ (mask[i] ?? 0));
}

/** Part 1, 21.4: key and IV from KDFa. */
function cfbKey(cipher: ParameterCipher, keyBits: number): { key: Buffer; iv: Buffer } {
  const { session, key, nonceNewer, nonceOlder } = cipher;
  const derived = KDFa(session.authHash, key, 'CFB', nonceNewer, nonceOlder, keyBits + 128);
  return { key: derived.subarray(0, keyBits / 8), iv: derived.subarray(keyBits / 8) };
}

type Direction = 'encrypt' | 'decrypt';

export function cryptParameter(direction: Direction, cipher: ParameterCipher, data: Uint8Array): Uint8Array {
  const symmetric: TPMT_SYM_DEF = cipher.session.symmetric;
  if (symmetric.algorithm === 'xor') return obfuscate(cipher, symmetric.hashAlg, data);
  if (symmetric.algorithm !== 'aes') return data; // StartAuthSession lets no other through
  const { key, iv } = cfbKey(cipher, symmetric.keyBits);
  const create = direction === 'encrypt' ? createCipheriv : createDecipheriv;
  return create(`aes-${symmetric.keyBits}-cfb`, key, iv).update(data);
}
