/** Tokens as protectors: an RSA key in a PKCS#11 token decrypts the master key. */
import { constants, publicEncrypt, randomBytes } from 'node:crypto';
import { openPkcs11Key, type Pkcs11Key, SysError } from '../../sys/index.ts';
import { KeyError } from '../error.ts';
import { masterText } from './master-text.ts';
import { newProtectorId, type ProtectorOf, slotFor } from './protected-key.ts';

const ENTROPY = 32;

/**
 * @param uri RFC 7512, of one private RSA key; a PIN in it is left out of what is kept
 * @throws {KeyError} as {@link tokenMaster}
 */
export function tokenProtector(payload: Uint8Array, uri: string, pin?: string): ProtectorOf<'token'> {
  return withKey(uri, pin, (key) => {
    const master = randomBytes(ENTROPY);
    const encrypted = publicEncrypt({ key: key.publicKey, padding: constants.RSA_PKCS1_PADDING }, master);
    key.decrypt(encrypted); // a key that cannot decrypt would be noticed when nothing else is left
    const id = newProtectorId('token');
    return { ...slotFor(id, payload, masterText(master)), kind: 'token', uri: withoutPin(uri), encrypted };
  });
}

/**
 * @throws {KeyError} `key.missing` where token or key is not there, `key.wrong-secret` for a wrong PIN or another key,
 *   `key.locked-out` where the token answers no PIN any more
 */
export function tokenMaster({ uri, encrypted }: ProtectorOf<'token'>, pin: string | undefined): Uint8Array {
  return withKey(uri, pin, (key) => {
    try {
      return masterText(key.decrypt(encrypted));
    } catch (error) {
      if (!(error instanceof SysError) || isAboutPin(error)) throw error;
      const what = `the token's key does not decrypt what the protector keeps: it is another key, or the file was changed`;
      throw new KeyError('key.wrong-secret', `${what} (${error.errno ?? error.message})`, { cause: error });
    }
  });
}

function withKey<T>(uri: string, pin: string | undefined, use: (key: Pkcs11Key) => T): T {
  try {
    const key = openPkcs11Key(uri, pin === undefined ? {} : { pin });
    try {
      return use(key);
    } finally {
      key.close();
    }
  } catch (error) {
    throw error instanceof SysError && error.code === 'sys.token' ? tokenError(error) : error;
  }
}

const isAboutPin = ({ errno }: SysError): boolean => errno?.startsWith('CKR_PIN') === true;

/** What the module answers, as an answer about the key. */
function tokenError(cause: SysError): KeyError {
  const { message } = cause;
  if (cause.errno === 'CKR_PIN_LOCKED') {
    const advice = 'its security officer sets a new PIN';
    return new KeyError('key.locked-out', `the token answers no PIN any more: ${message}`, { advice, cause });
  }
  if (isAboutPin(cause)) {
    const advice = 'after a few wrong ones the token locks itself';
    return new KeyError('key.wrong-secret', `the token's PIN is wrong: ${message}`, { advice, cause });
  }
  const advice = cause.advice ?? 'plug the token in, and name its module with module-path=';
  return new KeyError('key.missing', `the token's key cannot be used: ${message}`, { advice, cause });
}

/** Query attributes follow the `?`, joined by `&` (RFC 7512, 2.3). */
function withoutPin(uri: string): string {
  const [path = '', query = ''] = uri.split(/\?(.*)/s);
  const kept = query.split('&').filter((attribute) => attribute !== '' && !attribute.startsWith('pin-'));
  return kept.length === 0 ? path : `${path}?${kept.join('&')}`;
}
