/** The keys that evmctl's options name. */
import { closeSync, openSync, readSync } from 'node:fs';
import { type IntegrityKey, Keyring, openSigner, readPublicKeys, type Signer } from '../../digsig/index.ts';
import { askPassphrase } from '../ask-passphrase.ts';
import { EvmctlError } from './error.ts';
import type { EvmctlOptions } from './options.ts';

const PRIVATE_KEY = '/etc/keys/privkey_evm.pem';
const CERTIFICATE = '/etc/keys/x509_evm.der';
const PUBLIC_KEY_V1 = '/etc/keys/pubkey_evm.pem';

/** No key or bundle of certificates is longer; `/dev/zero` is. */
const MAX_KEY_FILE = 1 << 20;

/** @throws {EvmctlError} `evmctl.file` */
export function readBounded(path: string, most = MAX_KEY_FILE): Buffer {
  const bytes = Buffer.alloc(most + 1);
  let length = 0;
  try {
    const fd = openSync(path, 'r');
    try {
      for (let got = -1; got !== 0 && length <= most; length += got)
        got = readSync(fd, bytes, length, bytes.length - length, null);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    throw new EvmctlError('evmctl.file', `Failed to read ${path}: ${reason(cause)}`, { cause });
  }
  if (length > most) throw new EvmctlError('evmctl.file', `${path}: longer than ${most} bytes`);
  return bytes.subarray(0, length);
}

export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Opened once, however many files are signed. */
export async function signerOf(options: EvmctlOptions): Promise<Signer> {
  const path = options.key ?? PRIVATE_KEY;
  const passphrase = options.pass === 'ask' ? await askPassphrase() : options.pass;
  const keyId = options.keyId ?? certificateKeyId(options.keyIdCertificate);
  const naming = keyId === undefined ? {} : { keyId };
  if (path.startsWith('pkcs11:')) {
    return openSigner({ uri: path, ...(passphrase === undefined ? {} : { pin: passphrase }), ...naming });
  }
  return openSigner({
    key: readBounded(path),
    source: path,
    ...(passphrase === undefined ? {} : { passphrase }),
    ...naming,
  });
}

function certificateKeyId(path: string | undefined): number | undefined {
  if (path === undefined) return undefined;
  const [key] = readPublicKeys(readBounded(path), { source: path });
  if (key === undefined) throw new EvmctlError('evmctl.file', `${path}: no certificate`);
  return key.keyId;
}

/** `--key a,b,c`: what cannot be read is said and left out; none at all is an error. */
export function keyringOf(options: EvmctlOptions, complain: (line: string) => void): Keyring {
  const named = options.key ?? (options.isV1 ? PUBLIC_KEY_V1 : CERTIFICATE);
  const keyring = new Keyring();
  for (const path of named.split(',').map((part) => part.trim())) {
    if (path === '') continue;
    try {
      for (const key of readKeys(path, options)) keyring.add(key);
    } catch (error) {
      complain(`${path}: ${reason(error)}`);
    }
  }
  if (keyring.size === 0) throw new EvmctlError('evmctl.file', `${named}: no key that can verify`);
  return keyring;
}

function readKeys(path: string, options: EvmctlOptions): IntegrityKey[] {
  const { keyId } = options;
  return readPublicKeys(readBounded(path), { source: path, ...(keyId === undefined ? {} : { keyId }) });
}
