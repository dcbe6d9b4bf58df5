/** `security.ima`: hashes and signatures of files. */
import { writeFileSync } from 'node:fs';
import { beginsLikeSignedLabel } from '../../appraise/index.ts';
import { type DigestAlgorithm, digestInfo } from '../../bytes/index.ts';
import {
  formatKeyId,
  type Keyring,
  parseSignature,
  type Signer,
  signDigest,
  signDigestV1,
  verifySignature,
} from '../../digsig/index.ts';
import { getXattr, removeXattr, setXattr } from '../../sys/index.ts';
import { EvmctlError } from './error.ts';
import { eachFile, fileDigest, withRegularFile } from './files.ts';
import { keyringOf, readBounded, reason, signerOf } from './keys.ts';
import type { EvmctlOptions } from './options.ts';
import type { Output } from './output.ts';

/** First byte of `security.ima` (kernel: integrity.h, enum evm_ima_xattr_type). */
const DIGEST = 1;
const SIGNATURE = 3;
const DIGEST_NG = 4;

/** XATTR_SIZE_MAX: no signature file can be longer and still be set. */
const MAX_SIGFILE = 65536;

function setOrPrint(path: string, name: string, value: Uint8Array, options: EvmctlOptions, out: Output): void {
  out.print(Buffer.from(value).toString('hex'));
  if (!options.isPrintOnly) setXattr(path, name, value);
}

/** `01 ‖ digest` for what the kernel's first form had, `04 ‖ algorithm ‖ digest` for all others. */
export function hashFile(path: string, options: EvmctlOptions, out: Output): void {
  const { algorithm } = options;
  const value = fileDigest(path, algorithm);
  const isLegacy = algorithm === 'md5' || algorithm === 'sha1';
  const head = isLegacy ? [DIGEST] : [DIGEST_NG, digestInfo(algorithm).kernelId];
  out.detail(`hash(${algorithm}): ${value.toString('hex')}`);
  setOrPrint(path, options.xattrIma, Buffer.concat([Buffer.from(head), value]), options, out);
}

/** What stands behind the type byte, in the signature format that the options ask for. */
export function signatureOver(
  signer: Signer,
  algorithm: DigestAlgorithm,
  value: Uint8Array,
  options: EvmctlOptions,
): Buffer {
  if (!options.isV1) return signDigest(signer, algorithm, value);
  return signDigestV1(signer, algorithm, value, Math.floor(Date.now() / 1000));
}

export function signFile(path: string, signer: Signer, options: EvmctlOptions, out: Output): void {
  const { algorithm } = options;
  if (withRegularFile(path, beginsLikeSignedLabel)) {
    throw new EvmctlError(
      'evmctl.file',
      `${path}: begins like what a directory label signs, and is not signed as a file`,
    );
  }
  const value = fileDigest(path, algorithm);
  out.detail(`hash(${algorithm}): ${value.toString('hex')}`);
  const signature = Buffer.concat([Buffer.of(SIGNATURE), signatureOver(signer, algorithm, value, options)]);
  if (options.useSigFile) writeFileSync(`${path}.sig`, signature);
  setOrPrint(path, options.xattrIma, signature, options, out);
}

export function imaHash(path: string, options: EvmctlOptions, out: Output): number {
  return failures(eachFile(path, options, out.say, (file) => hashFile(file, options, out)));
}

export async function imaSign(path: string, options: EvmctlOptions, out: Output): Promise<number> {
  const signer = await signerOf(options);
  return failures(eachFile(path, options, out.say, (file) => signFile(file, signer, options, out)));
}

function failures(count: number): number {
  return count > 0 ? 1 : 0;
}

/** Each of the files is looked at, whatever the others are. */
export function imaVerify(paths: readonly string[], options: EvmctlOptions, out: Output): number {
  const keyring = keyringOf(options, out.say);
  let failed = 0;
  for (const path of paths) {
    try {
      verifyFile(path, keyring, options);
      out.say(`${path}: verification is OK`);
    } catch (error) {
      failed++;
      out.say(`${path}: ${reason(error)}`);
    }
  }
  return failures(failed);
}

function verifyFile(path: string, keyring: Keyring, options: EvmctlOptions): void {
  const value = options.useSigFile ? readBounded(`${path}.sig`, MAX_SIGFILE) : getXattr(path, options.xattrIma);
  if (value === undefined) throw notVerified(`no ${options.xattrIma}`);
  if (value[0] !== SIGNATURE) throw notVerified(`${options.xattrIma} has no signature`);
  checkSignature(keyring, value, (algorithm) => fileDigest(path, algorithm));
}

/**
 * @param value an attribute: type byte and signature
 * @throws {EvmctlError} `evmctl.not-verified`; {@link ParseError}
 */
export function checkSignature(
  keyring: Keyring,
  value: Uint8Array,
  digestOf: (algorithm: DigestAlgorithm) => Uint8Array,
): void {
  const header = parseSignature(value.subarray(1), 1);
  const { algorithm } = header;
  if (algorithm === undefined) throw notVerified('unknown hash algo in the signature');
  const verdict = verifySignature(keyring, header, { algorithm, digest: digestOf(algorithm), type: value[0] ?? 0 });
  if (verdict.valid) return;
  if (verdict.fault === 'unknown-key' && header.version !== 1) {
    throw notVerified(`unknown keyid: ${formatKeyId(header.keyId)}`);
  }
  throw notVerified(`verification failed: ${verdict.fault}`);
}

export function notVerified(message: string): EvmctlError {
  return new EvmctlError('evmctl.not-verified', message);
}

/** `ima_setxattr FILE` takes FILE.sig, `ima_setxattr --sigfile SIG FILE` the one named. */
export function imaSetXattr(operands: readonly string[], options: EvmctlOptions): number {
  const [first, second] = operands;
  const path = options.useSigFile ? second : first;
  if (first === undefined || path === undefined) throw new EvmctlError('evmctl.usage', 'Parameters missing');
  const value = readBounded(options.useSigFile ? first : `${path}.sig`, MAX_SIGFILE);
  if (value.length === 0) throw new EvmctlError('evmctl.file', 'the signature file is empty');
  setXattr(path, options.xattrIma, value);
  return 0;
}

export function imaClear(path: string, options: EvmctlOptions, out: Output): number {
  const clear = (file: string): void => {
    out.detail(file);
    removeXattr(file, options.xattrIma);
    removeXattr(file, options.xattrEvm);
  };
  return failures(eachFile(path, options, out.say, clear));
}

/** Opening is what makes the kernel write labels under `ima_appraise=fix`. With `-t x` what has both labels is left alone. */
export function imaFix(path: string, options: EvmctlOptions, out: Output): number {
  const fix = (file: string): void => {
    out.detail(file);
    const isDone =
      options.types.includes('x') &&
      getXattr(file, options.xattrIma) !== undefined &&
      getXattr(file, options.xattrEvm) !== undefined;
    if (!isDone) withRegularFile(file, () => undefined);
  };
  return failures(eachFile(path, options, out.say, fix));
}
