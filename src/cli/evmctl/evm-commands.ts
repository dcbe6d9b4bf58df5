/** `security.evm`: signatures and HMACs over a file's metadata. */
import type { DigestAlgorithm } from '../../bytes/index.ts';
import { type Keyring, parseSignature, type Signer } from '../../digsig/index.ts';
import {
  EVM_KEY_SIZE,
  type EvmInputOptions,
  type EvmMetadata,
  encodeEvmSignature,
  evmDigest,
  hmacLabel,
  readEvmMetadata,
} from '../../evm/index.ts';
import { getXattr, setXattr } from '../../sys/index.ts';
import { EvmctlError } from './error.ts';
import { eachFile } from './files.ts';
import { checkSignature, hashFile, notVerified, signatureOver, signFile } from './ima-commands.ts';
import { keyringOf, readBounded, signerOf } from './keys.ts';
import type { EvmctlOptions } from './options.ts';
import type { Output } from './output.ts';

const HMAC_KEY = '/etc/keys/evm-key-plain';
const SMACK_EXTRAS = ['security.SMACK64EXEC', 'security.SMACK64TRANSMUTE', 'security.SMACK64MMAP'];

/** What the file has, and what the options put in its place. */
function metadataOf(path: string, options: EvmctlOptions): EvmMetadata {
  const { overrides, evm } = options;
  const { metadata } = readEvmMetadata(path, {
    portable: evm !== 'ordinary',
    ...(overrides.generation === undefined ? {} : { generation: overrides.generation }),
    ...(overrides.uuid === undefined ? {} : { uuid: overrides.uuid }),
  });
  return {
    ...metadata,
    xattrs: xattrsOf(path, metadata.xattrs, options),
    ino: overrides.ino ?? metadata.ino,
    uid: overrides.uid ?? metadata.uid,
    gid: overrides.gid ?? metadata.gid,
    mode: overrides.mode ?? metadata.mode,
  };
}

function xattrsOf(
  path: string,
  found: EvmMetadata['xattrs'],
  { overrides, withSmack, evm, xattrIma }: EvmctlOptions,
): EvmMetadata['xattrs'] {
  const xattrs = new Map(found);
  if (!withSmack) for (const name of SMACK_EXTRAS) xattrs.delete(name);
  // The kernel's value ends with a NUL that nobody types
  if (overrides.selinux !== undefined) xattrs.set('security.selinux', Buffer.from(`${overrides.selinux}\0`));
  if (overrides.caps === 'none') xattrs.delete('security.capability');
  else if (overrides.caps !== undefined) xattrs.set('security.capability', Buffer.from(overrides.caps));
  // --xattr-user: evmctl takes the test's label for portable signatures only
  const ima = overrides.ima ?? (evm === 'portable' ? getXattr(path, xattrIma) : undefined);
  if (ima !== undefined) xattrs.set('security.ima', ima);
  return xattrs;
}

function inputOptions(options: EvmctlOptions): EvmInputOptions {
  const layout = options.evm === 'immutable' ? 'owner-and-mode' : options.wordBits === 32 ? '32-bit' : '64-bit';
  return {
    layout,
    portable: options.evm === 'portable',
    withUuid: options.overrides.uuid !== 'none',
    // evmctl signs a file without attributes too, and its tests do; the kernel takes no such label
    mayBeBare: true,
  };
}

async function signerWhereNeeded(options: EvmctlOptions, isNeeded: boolean): Promise<Signer | undefined> {
  return isNeeded ? signerOf(options) : undefined;
}

/** What `--imasig` and `--imahash` ask for before the metadata is sealed. */
function labelContent(path: string, signer: Signer | undefined, options: EvmctlOptions, out: Output): void {
  if (options.withImaSignature && signer !== undefined) signFile(path, signer, options, out);
  if (options.withImaHash) hashFile(path, options, out);
}

export async function evmSign(path: string, options: EvmctlOptions, out: Output): Promise<number> {
  const signer = await signerOf(options);
  const failed = eachFile(path, options, out.say, (file) => {
    labelContent(file, signer, options, out);
    const label = signedLabel(file, signer, options);
    out.print(label.toString('hex'));
    if (!options.isPrintOnly) setXattr(file, options.xattrEvm, label);
  });
  return failed > 0 ? 1 : 0;
}

function signedLabel(path: string, signer: Signer, options: EvmctlOptions): Buffer {
  const { algorithm } = options;
  const value = evmDigest(algorithm, metadataOf(path, options), inputOptions(options));
  const signature = signatureOver(signer, algorithm, value, options);
  // evmctl's -i: the old "immutable" signature, format 2 that says 3
  if (options.evm === 'immutable') signature[0] = 3;
  return encodeEvmSignature(signature, { portable: options.evm === 'portable' });
}

export function evmVerify(path: string, options: EvmctlOptions, out: Output): number {
  verifyMetadata(path, keyringOf(options, out.say), options);
  out.say(`${path}: verification is OK`);
  return 0;
}

const SIGNATURE = 3;
const PORTABLE = 5;

function verifyMetadata(path: string, keyring: Keyring, options: EvmctlOptions): void {
  const value = getXattr(path, options.xattrEvm);
  if (value === undefined) throw notVerified(`${path}: no ${options.xattrEvm}`);
  const [type] = value;
  if (type !== SIGNATURE && type !== PORTABLE) throw notVerified(`${path}: ${options.xattrEvm} has no signature`);
  if (type === PORTABLE && parseSignature(value.subarray(1), 1).version !== 2) {
    throw notVerified(`${path}: a portable signature must be of format 2`);
  }
  const asSigned: EvmctlOptions = type === PORTABLE ? { ...options, evm: 'portable' } : options;
  const digestOf = (algorithm: DigestAlgorithm): Buffer =>
    evmDigest(algorithm, metadataOf(path, asSigned), inputOptions(asSigned));
  checkSignature(keyring, value, digestOf);
}

export async function evmHmac(path: string, options: EvmctlOptions, out: Output): Promise<number> {
  const signer = await signerWhereNeeded(options, options.withImaSignature);
  labelContent(path, signer, options, out);
  const keyFile = options.hmacKey ?? HMAC_KEY;
  const key = readBounded(keyFile, EVM_KEY_SIZE);
  if (key.length === 0) throw new EvmctlError('evmctl.file', `${keyFile}: the key is empty`);
  const label = hmacLabel(key, metadataOf(path, options), inputOptions(options));
  out.detail(`hmac: ${label.subarray(1).toString('hex')}`);
  if (options.isPrintOnly) out.print(label.toString('hex'));
  else setXattr(path, options.xattrEvm, label);
  return 0;
}
