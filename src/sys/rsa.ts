/**
 * RSA with PKCS#1 type 1 padding over bytes as they are. `crypto.publicDecrypt` and `crypto.privateEncrypt` do the same
 * and make the key's context anew each time, two thirds of what the former takes; here it is made once (EVP_PKEY_sign and
 * EVP_PKEY_verify_recover without a digest set take and give the bytes behind the padding).
 */
import { constants, type KeyObject, privateEncrypt, publicDecrypt } from 'node:crypto';
import { SysError } from './error.ts';
import { native } from './native.ts';

type Pointer = bigint | null;

const d2iPubkey = native<[null, [Buffer], number], Pointer>(
  'void *d2i_PUBKEY(void *key, _In_ const uint8_t **der, long length)',
);
const newContext = native<[Pointer, null], Pointer>('void *EVP_PKEY_CTX_new(void *key, void *engine)');
const initRecover = native<[Pointer], number>('int EVP_PKEY_verify_recover_init(void *context)');
const setPadding = native<[Pointer, number], number>('int EVP_PKEY_CTX_set_rsa_padding(void *context, int padding)');
const recover = native<[Pointer, Buffer, Buffer, Uint8Array, number], number>(
  'int EVP_PKEY_verify_recover(void *context, _Out_ uint8_t *out, _Inout_ uint8_t *length, const uint8_t *sig, size_t size)',
);
const d2iPrivateKey = native<[null, [Buffer], number], Pointer>(
  'void *d2i_AutoPrivateKey(void *key, _In_ const uint8_t **der, long length)',
);
const initSign = native<[Pointer], number>('int EVP_PKEY_sign_init(void *context)');
const evpSign = native<[Pointer, Buffer, Buffer, Uint8Array, number], number>(
  'int EVP_PKEY_sign(void *context, _Out_ uint8_t *sig, _Inout_ uint8_t *length, const uint8_t *tbs, size_t size)',
);
const freeContext = native<[Pointer], void>('void EVP_PKEY_CTX_free(void *context)');
const freeKey = native<[Pointer], void>('void EVP_PKEY_free(void *key)');
const clearErrors = native<[], void>('void ERR_clear_error()');

/** Room for RSA-16384, OpenSSL's largest. */
const MAX_MODULUS = 2048;

/** Opens many signatures by one key. Belongs to the thread that made it. */
export interface RsaRecoverer {
  readonly engine: 'openssl' | 'node';
  /** The bytes behind the padding; undefined for any signature that is not this key's. */
  recover(signature: Uint8Array): Buffer | undefined;
}

/** @param key a public RSA key @param engine left out: OpenSSL where it can be reached */
export function rsaRecoverer(key: KeyObject, engine?: RsaRecoverer['engine']): RsaRecoverer {
  if (engine === 'node') return nodeRecoverer(key);
  try {
    return openSslRecoverer(key);
  } catch (error) {
    if (engine === 'openssl' || !(error instanceof SysError)) throw error;
    return nodeRecoverer(key);
  }
}

const unused = new FinalizationRegistry<{ context: Pointer; key: Pointer }>((held) => {
  freeContext(held.context);
  freeKey(held.key);
});

function openSslRecoverer(publicKey: KeyObject): RsaRecoverer {
  const der = publicKey.export({ type: 'spki', format: 'der' });
  const key = d2iPubkey(null, [der], der.length);
  const context = newContext(key, null);
  if (key === null || context === null || initRecover(context) !== 1 || setPadding(context, 1) !== 1) {
    clearErrors();
    throw new SysError('sys.unavailable', 'OpenSSL does not take this key');
  }
  const out = Buffer.alloc(MAX_MODULUS);
  const length = Buffer.alloc(8);
  const recoverer: RsaRecoverer = {
    engine: 'openssl',
    recover(signature) {
      length.writeBigUInt64LE(BigInt(MAX_MODULUS));
      if (recover(context, out, length, signature, signature.length) === 1) {
        return Buffer.from(out.subarray(0, Number(length.readBigUInt64LE())));
      }
      // What a refusal leaves in this thread's error queue would surface in an unrelated call of node:crypto.
      clearErrors();
      return undefined;
    },
  };
  unused.register(recoverer, { context, key });
  return recoverer;
}

function nodeRecoverer(key: KeyObject): RsaRecoverer {
  return {
    engine: 'node',
    recover(signature) {
      try {
        return publicDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, signature);
      } catch {
        return undefined; // wrong padding, or a number above the modulus
      }
    },
  };
}

/** Makes many signatures by one key. Belongs to the thread that made it. */
export interface RsaSigner {
  readonly engine: 'openssl' | 'node';
  /** @returns as long as the modulus; undefined where the key is too short for these bytes */
  sign(bytes: Uint8Array): Buffer | undefined;
}

/** @param key a private RSA key @param engine left out: OpenSSL where it can be reached */
export function rsaSigner(key: KeyObject, engine?: RsaSigner['engine']): RsaSigner {
  if (engine === 'node') return nodeSigner(key);
  try {
    return openSslSigner(key);
  } catch (error) {
    if (engine === 'openssl' || !(error instanceof SysError)) throw error;
    return nodeSigner(key);
  }
}

function openSslSigner(privateKey: KeyObject): RsaSigner {
  const der = privateKey.export({ type: 'pkcs8', format: 'der' });
  const key = d2iPrivateKey(null, [der], der.length);
  der.fill(0);
  const context = newContext(key, null);
  if (key === null || context === null || initSign(context) !== 1 || setPadding(context, 1) !== 1) {
    clearErrors();
    throw new SysError('sys.unavailable', 'OpenSSL does not take this key');
  }
  const out = Buffer.alloc(MAX_MODULUS);
  const length = Buffer.alloc(8);
  const signer: RsaSigner = {
    engine: 'openssl',
    sign(bytes) {
      length.writeBigUInt64LE(BigInt(MAX_MODULUS));
      if (evpSign(context, out, length, bytes, bytes.length) === 1) {
        return Buffer.from(out.subarray(0, Number(length.readBigUInt64LE())));
      }
      clearErrors();
      return undefined;
    },
  };
  unused.register(signer, { context, key });
  return signer;
}

function nodeSigner(key: KeyObject): RsaSigner {
  return {
    engine: 'node',
    sign(bytes) {
      try {
        return privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, bytes);
      } catch {
        return undefined; // more bytes than the modulus and its padding hold
      }
    },
  };
}
