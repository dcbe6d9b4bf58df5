/**
 * ECDSA over a digest that is given. `crypto.verify(null, digest, key)` hashes the digest once more, so this asks Node's
 * own OpenSSL (EVP_PKEY_verify, about 40 times faster than JavaScript), and @noble/curves where koffi does not load.
 */
import type { KeyObject } from 'node:crypto';
import { createRequire } from 'node:module';
import type * as Nist from '@noble/curves/nist.js';
import { SysError } from './error.ts';
import { native } from './native.ts';

/** A C pointer as koffi gives it; null for NULL. */
type Pointer = bigint | null;

const d2iPubkey = native<[null, [Buffer], number], Pointer>(
  'void *d2i_PUBKEY(void *key, _In_ const uint8_t **der, long length)',
);
const newContext = native<[Pointer, null], Pointer>('void *EVP_PKEY_CTX_new(void *key, void *engine)');
const initVerify = native<[Pointer], number>('int EVP_PKEY_verify_init(void *context)');
const evpVerify = native<[Pointer, Uint8Array, number, Uint8Array, number], number>(
  'int EVP_PKEY_verify(void *context, const uint8_t *sig, size_t sig_len, const uint8_t *tbs, size_t tbs_len)',
);
const freeContext = native<[Pointer], void>('void EVP_PKEY_CTX_free(void *context)');
const freeKey = native<[Pointer], void>('void EVP_PKEY_free(void *key)');
const clearErrors = native<[], void>('void ERR_clear_error()');

/** Verifies many signatures by one key. Belongs to the thread that made it. */
export interface EcdsaVerifier {
  readonly engine: 'openssl' | 'javascript';
  /** @param signature DER ECDSA-Sig-Value; any bytes give an answer, malformed ones false */
  verify(digest: Uint8Array, signature: Uint8Array): boolean;
}

const NOBLE_NAME = { prime256v1: 'p256', secp384r1: 'p384', secp521r1: 'p521' } as const;
type Curve = keyof typeof NOBLE_NAME;

function curveOf(key: KeyObject): Curve {
  const name = key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? 'secret';
  if (key.type === 'public' && Object.hasOwn(NOBLE_NAME, name)) return name as Curve;
  throw new SysError('sys.unavailable', `no ECDSA verification for a ${name} key`, {
    advice: 'use a public key on P-256, P-384 or P-521',
  });
}

/**
 * @param key a public key on P-256, P-384 or P-521
 * @param engine left out: OpenSSL where it can be reached
 * @throws {SysError} `sys.unavailable` for other keys, or where `engine` is named and cannot be had
 */
export function ecdsaVerifier(key: KeyObject, engine?: EcdsaVerifier['engine']): EcdsaVerifier {
  const curve = curveOf(key);
  if (engine === 'javascript') return javascriptVerifier(key, curve);
  try {
    return openSslVerifier(key);
  } catch (error) {
    if (engine === 'openssl' || !(error instanceof SysError)) throw error;
    return javascriptVerifier(key, curve);
  }
}

const unused = new FinalizationRegistry<{ context: Pointer; key: Pointer }>((held) => {
  freeContext(held.context);
  freeKey(held.key);
});

function openSslVerifier(publicKey: KeyObject): EcdsaVerifier {
  const der = publicKey.export({ type: 'spki', format: 'der' });
  const key = d2iPubkey(null, [der], der.length);
  const context = newContext(key, null);
  if (key === null || context === null || initVerify(context) !== 1) {
    clearErrors();
    throw new SysError('sys.unavailable', 'OpenSSL does not take this key');
  }
  const verifier: EcdsaVerifier = {
    engine: 'openssl',
    verify(digest, signature) {
      const isValid = evpVerify(context, signature, signature.length, digest, digest.length) === 1;
      // What a refusal leaves in this thread's error queue would surface in an unrelated call of node:crypto.
      if (!isValid) clearErrors();
      return isValid;
    },
  };
  unused.register(verifier, { context, key });
  return verifier;
}

function javascriptVerifier(publicKey: KeyObject, curve: Curve): EcdsaVerifier {
  const nist: typeof Nist = createRequire(import.meta.url)('@noble/curves/nist.js');
  const ecdsa = nist[NOBLE_NAME[curve]];
  const point = uncompressedPoint(publicKey);
  return {
    engine: 'javascript',
    verify(digest, signature) {
      try {
        return ecdsa.verify(signature, digest, point, { prehash: false, lowS: false, format: 'der' });
      } catch {
        return false; // noble throws for malformed DER
      }
    },
  };
}

function uncompressedPoint(publicKey: KeyObject): Uint8Array {
  const { x, y } = publicKey.export({ format: 'jwk' });
  return Buffer.concat([Buffer.of(4), Buffer.from(x ?? '', 'base64url'), Buffer.from(y ?? '', 'base64url')]);
}
