/** Opens the key that signs, once; then one call per signature. */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import type { DigestAlgorithm } from '../bytes/index.ts';
import { ecdsaSigner, openPkcs11Key, rsaSigner } from '../sys/index.ts';
import { DerReader, TAG } from './der.ts';
import { checkDigestSize, encodeDigestInfo } from './digest-info.ts';
import { DigsigError } from './error.ts';
import { type KeyId, keyId, keyIdOfPublicKey, keyIdV1 } from './key-id.ts';
import { type KeyKind, openPublicKey } from './key-kind.ts';
import { pemBlocks } from './pem.ts';
import { type IntegrityKey, readPublicKeys } from './public-keys.ts';

/** A key that signs as plain data, so that each worker thread can open it for itself. It holds the secret. */
export type SignerSource = KeyFile | TokenKey;

interface Naming {
  /** The certificate whose id the signatures carry, PEM or DER; it must be this key's. */
  readonly certificate?: Uint8Array;
  /** Instead of what the certificate or the key says. */
  readonly keyId?: number;
}

export interface KeyFile extends Naming {
  /** PEM (encrypted or not) or DER, as the file holds it. A certificate in the same PEM names the key. */
  readonly key: Uint8Array;
  /** What the key is called in messages: its file's name. */
  readonly source: string;
  readonly passphrase?: string;
}

export interface TokenKey extends Naming {
  /** `pkcs11:…` (RFC 7512). */
  readonly uri: string;
  /** Instead of the URI's pin-value or pin-source. */
  readonly pin?: string;
  /** The module's file, where the URI names none; PKCS11_MODULE_PATH or p11-kit's proxy otherwise. */
  readonly module?: string;
}

/** Makes signatures. Belongs to the thread that opened it. */
export interface Signer extends KeyKind {
  readonly keyId: KeyId;
  /** False where its certificate names no id that the kernel would find it by. */
  readonly isFoundById: boolean;
  /** 8 bytes; RSA alone. */
  readonly keyIdV1: Buffer | undefined;
  readonly publicKey: KeyObject;
  /** The certificate that names the key, in DER. */
  readonly certificate: Buffer | undefined;
  /**
   * The bare signature over a digest: RSASSA-PKCS1-v1_5, or ECDSA or SM2 in DER.
   * @throws {DigsigError} `digsig.cannot-sign`
   */
  sign(algorithm: DigestAlgorithm, digest: Uint8Array): Buffer;
  /** PKCS#1 type 1 padding over bytes as they are, which format 1 needs; RSA alone. */
  readonly signRaw: ((bytes: Uint8Array) => Buffer) | undefined;
}

/**
 * @throws {DigsigError} `digsig.not-a-key`, `digsig.passphrase`, `digsig.unsupported-key`, `digsig.wrong-certificate`
 * @throws {SysError} `sys.unavailable` for SM2 and P-192 where OpenSSL cannot be reached; `sys.token` for a token's key
 */
export function openSigner(source: SignerSource): Signer {
  return 'uri' in source ? openTokenKey(source) : openKeyFile(source);
}

function openKeyFile(file: KeyFile): Signer {
  const privateKey = readPrivateKey(file);
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const own = pemBlocks(file.key).find(({ label }) => label === 'CERTIFICATE')?.bytes;
  const identity = identityOf(spki, file.source, file.keyId, file.certificate ?? own);
  return { ...identity, ...(identity.kind === 'rsa' ? rsaOperations(privateKey) : ecOperations(privateKey)) };
}

function openTokenKey({ uri, pin, module, certificate, keyId: given }: TokenKey): Signer {
  const options = { ...(pin === undefined ? {} : { pin }), ...(module === undefined ? {} : { module }) };
  const key = openPkcs11Key(uri, options);
  const spki = key.publicKey.export({ type: 'spki', format: 'der' });
  const identity = identityOf(spki, 'the token’s key', given, certificate);
  if (key.kind === 'rsa') return { ...identity, ...pkcs1Operations((bytes) => key.sign(bytes)) };
  return { ...identity, ...digestOperations((digest) => key.sign(digest)) };
}

type Identity = Omit<Signer, keyof Operations>;

function identityOf(spki: Buffer, source: string, given: number | undefined, certificate?: Uint8Array): Identity {
  const named = certificate === undefined ? undefined : namingKey(certificate, spki, source);
  const opened = openPublicKey(spki, source);
  return {
    ...opened,
    keyId: given === undefined ? (named?.keyId ?? keyIdOfPublicKey(spki)) : keyId(given),
    isFoundById: given !== undefined || (named?.isFoundById ?? true),
    keyIdV1: keyIdV1(opened.publicKey),
    certificate: named?.certificate,
  };
}

type Operations = Pick<Signer, 'sign' | 'signRaw'>;

function pkcs1Operations(signRaw: (bytes: Uint8Array) => Buffer): Operations {
  return { signRaw, sign: (algorithm, digest) => signRaw(encodeDigestInfo(algorithm, digest)) };
}

function digestOperations(signDigest: (digest: Uint8Array) => Buffer): Operations {
  return {
    signRaw: undefined,
    sign(algorithm, digest) {
      checkDigestSize(algorithm, digest);
      return signDigest(digest);
    },
  };
}

function rsaOperations(key: KeyObject): Operations {
  const signer = rsaSigner(key);
  return pkcs1Operations((bytes) => {
    const signature = signer.sign(bytes);
    if (signature !== undefined) return signature;
    throw new DigsigError('digsig.cannot-sign', 'this RSA key is too short for the digest');
  });
}

function ecOperations(key: KeyObject): Operations {
  const signer = ecdsaSigner(key);
  return digestOperations((digest) => signer.sign(digest));
}

const PRIVATE_ADVICE = 'give a private key in PEM or DER';

function readPrivateKey({ key, source, passphrase }: KeyFile): KeyObject {
  const blocks = pemBlocks(key);
  const block = blocks.find(({ label }) => label.endsWith('PRIVATE KEY'));
  if (block !== undefined) {
    const isEncrypted = block.label.startsWith('ENCRYPTED') || /^Proc-Type:.*ENCRYPTED/m.test(block.text);
    return decode(source, isEncrypted, passphrase, () =>
      createPrivateKey({ key: block.text, format: 'pem', ...(passphrase === undefined ? {} : { passphrase }) }),
    );
  }
  if (blocks.length > 0) {
    throw new DigsigError(
      'digsig.not-a-key',
      `${source}: no private key: only ${blocks.map((one) => one.label).join(', ')}`,
      {
        advice: PRIVATE_ADVICE,
      },
    );
  }
  return readDerPrivateKey(Buffer.from(key), source, passphrase);
}

/** PKCS#8, EncryptedPrivateKeyInfo (which OpenSSL reads as PKCS#8 too), PKCS#1 or SEC 1. */
function readDerPrivateKey(key: Buffer, source: string, passphrase: string | undefined): KeyObject {
  for (const type of ['pkcs1', 'sec1'] as const) {
    try {
      return createPrivateKey({ key, format: 'der', type });
    } catch {
      // the next form
    }
  }
  const isEncrypted = isEncryptedInfo(key);
  return decode(source, isEncrypted, passphrase, () =>
    createPrivateKey({ key, format: 'der', type: 'pkcs8', ...(passphrase === undefined ? {} : { passphrase }) }),
  );
}

/** EncryptedPrivateKeyInfo (RFC 5958, 3): an AlgorithmIdentifier and an OCTET STRING. */
function isEncryptedInfo(key: Buffer): boolean {
  try {
    const info = new DerReader(key).enter(TAG.sequence, 'private key');
    info.whole(TAG.sequence, 'encryptionAlgorithm');
    return info.tag === TAG.octetString;
  } catch {
    return false;
  }
}

function decode(
  source: string,
  isEncrypted: boolean,
  passphrase: string | undefined,
  open: () => KeyObject,
): KeyObject {
  if (isEncrypted && passphrase === undefined) {
    throw new DigsigError('digsig.passphrase', `${source}: the key is encrypted`, { advice: 'give its passphrase' });
  }
  try {
    return open();
  } catch (cause) {
    // OpenSSL's reason may quote what it was given: it stays in `cause`, which no command prints.
    throw isEncrypted
      ? new DigsigError('digsig.passphrase', `${source}: the passphrase does not open the key`, { cause })
      : new DigsigError('digsig.not-a-key', `${source}: no private key`, { advice: PRIVATE_ADVICE, cause });
  }
}

/** The first key of the certificate, which must be the one that signs. */
function namingKey(certificate: Uint8Array, spki: Buffer, source: string): IntegrityKey {
  const [named] = readPublicKeys(certificate, { source: `the certificate for ${source}` });
  if (named?.publicKey.export({ type: 'spki', format: 'der' }).equals(spki)) return named;
  throw new DigsigError('digsig.wrong-certificate', `${source}: the certificate is another key's`, {
    advice: 'give the certificate that was issued for this key',
  });
}
