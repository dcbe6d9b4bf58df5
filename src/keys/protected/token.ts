/** Tokens as protectors: an RSA key in a PKCS#11 token decrypts the master key. */
import { constants, publicEncrypt, randomBytes } from 'node:crypto';
import { openPkcs11Key } from '../../sys/index.ts';
import { masterText } from './master-text.ts';
import { newProtectorId, type ProtectorOf, slotFor } from './protected-key.ts';

const ENTROPY = 32;

/**
 * @param uri RFC 7512, of one private RSA key; a PIN in it is left out of what is kept
 * @throws {SysError} `sys.token`
 */
export function tokenProtector(payload: Uint8Array, uri: string, pin?: string): ProtectorOf<'token'> {
  const key = openPkcs11Key(uri, pin === undefined ? {} : { pin });
  try {
    const master = randomBytes(ENTROPY);
    const encrypted = publicEncrypt({ key: key.publicKey, padding: constants.RSA_PKCS1_PADDING }, master);
    key.decrypt(encrypted); // a key that cannot decrypt would be noticed when nothing else is left
    const id = newProtectorId('token');
    return { ...slotFor(id, payload, masterText(master)), kind: 'token', uri: withoutPin(uri), encrypted };
  } finally {
    key.close();
  }
}

/** @throws {SysError} `sys.token` where the token is not there, or the PIN is wrong */
export function tokenMaster({ uri, encrypted }: ProtectorOf<'token'>, pin: string | undefined): Uint8Array {
  const key = openPkcs11Key(uri, pin === undefined ? {} : { pin });
  try {
    return masterText(key.decrypt(encrypted));
  } finally {
    key.close();
  }
}

/** Query attributes follow the `?`, joined by `&` (RFC 7512, 2.3). */
function withoutPin(uri: string): string {
  const [path = '', query = ''] = uri.split(/\?(.*)/s);
  const kept = query.split('&').filter((attribute) => attribute !== '' && !attribute.startsWith('pin-'));
  return kept.length === 0 ? path : `${path}?${kept.join('&')}`;
}
