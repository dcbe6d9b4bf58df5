/** Judges the label of one open file: gathers what the kernel would look at and hands it to the judgement of `ima`. */
import { type DigestAlgorithm, toHex } from '../bytes/index.ts';
import { type DeferredSignatures, Keyring, readBlacklist, readPublicKeys } from '../digsig/index.ts';
import { appraiseEvm, type EvmResult, readEvmMetadata } from '../evm/index.ts';
import {
  type AppendedJudge,
  type AppraiseType,
  appraiseIma,
  type ImaAppraisal,
  type ImaResult,
  type ImaStatus,
} from '../ima/index.ts';
import { SysError, type VerityDigest, verityDigest } from '../sys/index.ts';
import { describeFault, type FaultFound } from './bad-label.ts';
import { FileSystemUuids } from './evm-labeller.ts';
import type { JudgeKeys, KeyFileBytes } from './task.ts';

export interface FileToJudge {
  readonly fd: number;
  /** Its file system, as `FileStatus` names it. */
  readonly device: string;
  /** Value of `security.ima`. */
  readonly label: Uint8Array | undefined;
  /** What the rule asks for. */
  readonly type: AppraiseType;
  /** H(content); asked for only where it counts, and then of one algorithm. */
  readonly digest: (algorithm: DigestAlgorithm) => Uint8Array;
  /** The signature that is appended; asked for only where the rule takes one. */
  readonly appended: (keyring: Keyring) => AppendedJudge | undefined;
  /** See `ImaAppraisal`. */
  readonly isUnverifiable?: boolean;
  /** See `ImaAppraisal`: what is found holds only if the signature that was deferred does. */
  readonly deferred?: DeferredSignatures;
}

export interface LabelJudgement {
  readonly result: ImaResult;
  /** Undefined for a label that holds. */
  readonly found: FaultFound | undefined;
  /** Where it was asked for. */
  readonly evm?: EvmResult;
}

export class LabelJudge {
  readonly keyring: Keyring;
  readonly #keys: JudgeKeys;
  readonly #hashes: ReadonlySet<string>;
  readonly #evmKeyring: Keyring | undefined;
  readonly #uuids = new FileSystemUuids();

  /** @throws {DigsigError} for keys that cannot be read */
  constructor(keys: JudgeKeys) {
    this.#keys = keys;
    this.keyring = keyringOf(keys.keys, keys.blacklist);
    this.#hashes = hashesOf(keys.blacklist);
    this.#evmKeyring = keys.evmKeys.length === 0 ? undefined : keyringOf(keys.evmKeys, keys.blacklist);
  }

  /** @throws what `digest` and `appended` throw, and what reading the metadata that EVM protects does */
  judge(file: FileToJudge): LabelJudgement {
    const { fd, label, type } = file;
    let measured: { algorithm: DigestAlgorithm; digest: Uint8Array } | undefined;
    const fileDigest = (algorithm: DigestAlgorithm): Uint8Array => {
      const digest = file.digest(algorithm);
      measured = { algorithm, digest };
      return digest;
    };
    const modsig = type === 'imasig|modsig' ? file.appended(this.keyring) : undefined;
    // Without a label and an appended signature it is not asked, and cannot be on every file system.
    const hasAny = (label !== undefined && label.length > 0) || modsig !== undefined;
    const evm = hasAny ? this.#judgeEvm(fd, file.device) : undefined;
    const verity = type === 'sigv3' ? verityOf(fd) : undefined;
    const { imaHash } = this.#keys;
    const appraisal: ImaAppraisal = {
      xattr: label,
      type,
      fileDigest,
      keyring: this.keyring,
      ...(imaHash === undefined ? {} : { imaHash }),
      ...(verity === undefined ? {} : { verityDigest: verity }),
      ...(modsig === undefined ? {} : { modsig }),
      ...(evm === undefined ? {} : { evmStatus: evm.status satisfies ImaStatus }),
      ...(this.#hashes.size === 0 ? {} : { isBlacklisted: (digest) => this.#hashes.has(toHex(digest)) }),
      ...(file.deferred === undefined ? {} : { deferred: file.deferred }),
      ...(file.isUnverifiable === undefined ? {} : { isUnverifiable: file.isUnverifiable }),
    };
    const result = appraiseIma(appraisal);
    const judged = evm === undefined ? {} : { evm };
    if (result.cause === undefined) return { result, found: undefined, ...judged };
    const found = describeFault(result.cause, {
      label,
      fault: result.fault ?? evm?.fault,
      measured: verity ?? measured,
      keyring: this.keyring,
      hasAppended: modsig !== undefined,
    });
    return { result, found, ...judged };
  }

  #judgeEvm(fd: number, device: string): EvmResult | undefined {
    const { evmHmacKey: hmacKey, evmXattrs: extraXattrs = [] } = this.#keys;
    const keyring = this.#evmKeyring;
    if (hmacKey === undefined && keyring === undefined) return undefined;
    const uuid = this.#uuids.of(fd, device);
    const { metadata, label: xattr } = readEvmMetadata(fd, { uuid, extraXattrs });
    const keys = { ...(hmacKey === undefined ? {} : { hmacKey }), ...(keyring === undefined ? {} : { keyring }) };
    return appraiseEvm({ xattr, metadata, extraXattrs, ...keys });
  }
}

/** @throws {DigsigError} for a file without a key, and for two keys of one id */
export function keyringOf(files: readonly KeyFileBytes[], blacklist: readonly KeyFileBytes[] = []): Keyring {
  const keyring = new Keyring(files.flatMap(({ bytes, source }) => readPublicKeys(bytes, { source })));
  for (const { bytes, source } of blacklist) {
    for (const key of readBlacklist(bytes, { source }).keys) keyring.blacklist(key);
  }
  return keyring;
}

/** @throws {DigsigError} */
export function hashesOf(blacklist: readonly KeyFileBytes[]): ReadonlySet<string> {
  return new Set(blacklist.flatMap(({ bytes, source }) => [...readBlacklist(bytes, { source }).hashes]));
}

function verityOf(fd: number): VerityDigest | undefined {
  try {
    return verityDigest(fd);
  } catch (error) {
    if (error instanceof SysError) return undefined;
    throw error;
  }
}
