/**
 * ECDSA over a digest that is given. `crypto.sign` and `crypto.verify` hash the digest once more, so this asks Node's own
 * OpenSSL (EVP_PKEY_sign and EVP_PKEY_verify, some 40 times faster than JavaScript), and @noble/curves where koffi does
 * not load. OpenSSL takes every curve it knows and SM2 (over a digest, without SM2's user id, as the kernel and
 * ima-evm-utils do); @noble/curves takes the three NIST curves.
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
const d2iPrivateKey = native<[null, [Buffer], number], Pointer>(
  'void *d2i_AutoPrivateKey(void *key, _In_ const uint8_t **der, long length)',
);
const newContext = native<[Pointer, null], Pointer>('void *EVP_PKEY_CTX_new(void *key, void *engine)');
const initVerify = native<[Pointer], number>('int EVP_PKEY_verify_init(void *context)');
const evpVerify = native<[Pointer, Uint8Array, number, Uint8Array, number], number>(
  'int EVP_PKEY_verify(void *context, const uint8_t *sig, size_t sig_len, const uint8_t *tbs, size_t tbs_len)',
);
const initSign = native<[Pointer], number>('int EVP_PKEY_sign_init(void *context)');
const evpSign = native<[Pointer, Buffer, BigUint64Array, Uint8Array, number], number>(
  'int EVP_PKEY_sign(void *context, _Out_ uint8_t *sig, _Inout_ size_t *sig_len, const uint8_t *tbs, size_t tbs_len)',
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

/** Makes many signatures with one key. Belongs to the thread that made it. */
export interface EcdsaSigner {
  readonly engine: 'openssl' | 'javascript';
  /** @returns DER ECDSA-Sig-Value @throws {SysError} `sys.unavailable` where the key cannot sign a digest of this size */
  sign(digest: Uint8Array): Buffer;
}

const NOBLE_NAME = { prime256v1: 'p256', secp384r1: 'p384', secp521r1: 'p521' } as const;
type Curve = keyof typeof NOBLE_NAME;

/** Types of keys that are not for ECDSA. SM2 is not among them: Node has no name for it. */
const OTHER_KEYS: ReadonlySet<string> = new Set([
  'rsa',
  'rsa-pss',
  'dsa',
  'dh',
  'ed25519',
  'ed448',
  'x25519',
  'x448',
] satisfies KeyObject['asymmetricKeyType'][]);

function checkKind(key: KeyObject, type: 'public' | 'private'): void {
  const { asymmetricKeyType: kind = '' } = key;
  if (key.type === type && !OTHER_KEYS.has(kind) && !/^(?:ml-|slh-)/.test(kind)) return;
  throw new SysError('sys.unavailable', `no ECDSA ${type} key: this is a ${kind || key.type} key`, {
    advice: `use a ${type} key on P-256, P-384 or P-521`,
  });
}

function nobleCurve(key: KeyObject): Curve {
  const name = key.asymmetricKeyDetails?.namedCurve ?? '';
  if (name === 'prime256v1' || name === 'secp384r1' || name === 'secp521r1') return name;
  throw new SysError(
    'sys.unavailable',
    `ECDSA on ${name || 'this curve'} needs OpenSSL, which cannot be reached here`,
    {
      advice: 'use a key on P-256, P-384 or P-521, or a platform where koffi loads',
    },
  );
}

/**
 * @param key a public key on an elliptic curve
 * @param engine left out: OpenSSL where it can be reached
 * @throws {SysError} `sys.unavailable` for other keys, or where `engine` is named and cannot be had
 */
export function ecdsaVerifier(key: KeyObject, engine?: EcdsaVerifier['engine']): EcdsaVerifier {
  checkKind(key, 'public');
  return withEngine(engine, {
    openssl: () => openSslVerifier(key),
    javascript: () => javascriptVerifier(key, nobleCurve(key)),
  });
}

/**
 * @param key a private key on an elliptic curve
 * @param engine left out: OpenSSL where it can be reached
 * @throws {SysError} `sys.unavailable` for other keys, or where `engine` is named and cannot be had
 */
export function ecdsaSigner(key: KeyObject, engine?: EcdsaSigner['engine']): EcdsaSigner {
  checkKind(key, 'private');
  return withEngine(engine, {
    openssl: () => openSslSigner(key),
    javascript: () => javascriptSigner(key, nobleCurve(key)),
  });
}

function withEngine<T>(
  engine: 'openssl' | 'javascript' | undefined,
  make: Record<'openssl' | 'javascript', () => T>,
): T {
  if (engine === 'javascript') return make.javascript();
  try {
    return make.openssl();
  } catch (error) {
    if (engine === 'openssl' || !(error instanceof SysError)) throw error;
    return make.javascript();
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

/** An ECDSA-Sig-Value on the largest curve of OpenSSL (sect571) is 154 bytes. */
const MAX_SIGNATURE = 256;

function openSslSigner(privateKey: KeyObject): EcdsaSigner {
  const der = privateKey.export({ type: 'pkcs8', format: 'der' });
  const key = d2iPrivateKey(null, [der], der.length);
  der.fill(0);
  const context = newContext(key, null);
  if (key === null || context === null || initSign(context) !== 1) {
    clearErrors();
    throw new SysError('sys.unavailable', 'OpenSSL does not take this key');
  }
  // Written by each call and copied out of: this room's thread makes one signature at a time.
  const signature = Buffer.alloc(MAX_SIGNATURE);
  const length = new BigUint64Array(1);
  const signer: EcdsaSigner = {
    engine: 'openssl',
    sign(digest) {
      length[0] = BigInt(MAX_SIGNATURE);
      if (evpSign(context, signature, length, digest, digest.length) === 1) {
        return Buffer.from(signature.subarray(0, Number(length[0])));
      }
      clearErrors();
      throw new SysError('sys.unavailable', `OpenSSL does not sign ${digest.length} bytes with this key`);
    },
  };
  unused.register(signer, { context, key });
  return signer;
}

function javascriptSigner(privateKey: KeyObject, curve: Curve): EcdsaSigner {
  const nist: typeof Nist = createRequire(import.meta.url)('@noble/curves/nist.js');
  const ecdsa = nist[NOBLE_NAME[curve]];
  const scalar = Buffer.from(privateKey.export({ format: 'jwk' }).d ?? '', 'base64url');
  return {
    engine: 'javascript',
    sign(digest) {
      return Buffer.from(ecdsa.sign(digest, scalar, { prehash: false, lowS: false, format: 'der' }));
    },
  };
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
