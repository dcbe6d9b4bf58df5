/** Judges the label of one file: gathers what the kernel would look at and hands it to the judgement of `ima`. */
import { type DigestAlgorithm, toHex } from '../bytes/index.ts';
import { Keyring, readBlacklist, readPublicKeys } from '../digsig/index.ts';
import { appraiseEvm, type EvmResult, readEvmMetadata } from '../evm/index.ts';
import { type AppendedJudge, appraiseIma, type ImaAppraisal, type ImaStatus } from '../ima/index.ts';
import {
  closeFile,
  type FileDigester,
  FileStatus,
  fgetXattr,
  fileDigester,
  openBeneath,
  SysError,
  verityDigest,
} from '../sys/index.ts';
import { appendedJudge } from './appended.ts';
import { describeFault, type FaultFound } from './bad-label.ts';
import { type BatchTally, FileProblem, runBatch } from './batch-run.ts';
import { FileSystemUuids } from './evm-labeller.ts';
import { withoutNul } from './paths.ts';
import { StableReader } from './stable-reader.ts';
import type { AppraiseTask, Batch, BatchResult, FileOutcome, KeyFileBytes } from './task.ts';

/** What has been computed of the file at hand: the kernel asks for one digest of a file, and so do we. */
interface KnownDigest {
  algorithm: DigestAlgorithm;
  digest: Buffer;
}

export class Appraiser {
  readonly #task: AppraiseTask;
  readonly #keyring: Keyring;
  readonly #hashes: ReadonlySet<string>;
  readonly #before = new FileStatus();
  readonly #reader: StableReader;
  readonly #evmKeyring: Keyring | undefined;
  readonly #uuids = new FileSystemUuids();
  readonly #digesters = new Map<DigestAlgorithm, FileDigester>();

  /** @throws {DigsigError} for keys that cannot be read */
  constructor(task: AppraiseTask) {
    this.#task = task;
    this.#reader = new StableReader(task, this.#before, new FileStatus());
    this.#keyring = keyringOf(task.keys, task.blacklist);
    this.#hashes = hashesOf(task.blacklist);
    this.#evmKeyring = task.evmKeys.length === 0 ? undefined : keyringOf(task.evmKeys, task.blacklist);
  }

  run(batch: Batch): BatchResult {
    return runBatch(batch, this.#task.digestsIn !== undefined, (path, result) =>
      this.#one(path, batch.linksSettled, result),
    );
  }

  #one(path: Buffer, linksSettled: boolean, result: BatchTally): FileOutcome | undefined {
    const fd = openBeneath(this.#task.root, path, this.#task);
    try {
      this.#before.ofOpen(fd);
      if (!this.#before.isRegular) throw new FileProblem('became-other');
      if (!linksSettled && this.#before.links > 1) {
        result.links.push({ path: withoutNul(path), inode: this.#before.inode });
        return undefined;
      }
      const { found, known } = this.#judge(fd, path);
      const detail = known?.algorithm === this.#task.digestsIn && known !== undefined ? { digest: known.digest } : {};
      result.files += 1;
      result.bytes += this.#before.size;
      if (found === undefined) return { change: 'good', ...detail };
      result.bad.push({ path: withoutNul(path), ...found });
      return { change: 'bad', ...detail };
    } finally {
      closeFile(fd);
    }
  }

  #judge(fd: number, path: Buffer): { found: FaultFound | undefined; known: KnownDigest | undefined } {
    const { type, imaHash, attribute } = this.#task;
    const label = fgetXattr(fd, attribute);
    let known: KnownDigest | undefined;
    const fileDigest = (algorithm: DigestAlgorithm): Buffer => {
      if (known?.algorithm !== algorithm) {
        known = { algorithm, digest: this.#reader.digest(fd, path, this.#digester(algorithm)) };
      }
      return known.digest;
    };
    const modsig = type === 'imasig|modsig' ? this.#appended(fd) : undefined;
    // Without a label and an appended signature it is not asked, and cannot be on every file system.
    const hasAny = (label !== undefined && label.length > 0) || modsig !== undefined;
    const evm = hasAny ? this.#judgeEvm(fd) : undefined;
    const verity = type === 'sigv3' ? verityOf(fd) : undefined;
    const appraisal: ImaAppraisal = {
      xattr: label,
      type,
      fileDigest,
      keyring: this.#keyring,
      ...(imaHash === undefined ? {} : { imaHash }),
      ...(verity === undefined ? {} : { verityDigest: verity }),
      ...(modsig === undefined ? {} : { modsig }),
      ...(evm === undefined ? {} : { evmStatus: evm.status satisfies ImaStatus }),
      ...(this.#hashes.size === 0 ? {} : { isBlacklisted: (digest) => this.#hashes.has(toHex(digest)) }),
    };
    const verdict = appraiseIma(appraisal);
    const { cause } = verdict;
    if (cause === undefined) return { found: undefined, known };
    const measured = verity ?? known;
    const fault = verdict.fault ?? evm?.fault;
    return {
      found: describeFault(cause, {
        label,
        fault,
        measured,
        keyring: this.#keyring,
        hasAppended: modsig !== undefined,
      }),
      known,
    };
  }

  #appended(fd: number): AppendedJudge | undefined {
    return appendedJudge(this.#reader, fd, this.#before.size, this.#keyring);
  }

  #judgeEvm(fd: number): EvmResult | undefined {
    const { evmHmacKey: hmacKey } = this.#task;
    const keyring = this.#evmKeyring;
    if (hmacKey === undefined && keyring === undefined) return undefined;
    const { evmXattrs: extraXattrs = [] } = this.#task;
    const uuid = this.#uuids.of(fd, this.#before.device);
    const { metadata, label: xattr } = readEvmMetadata(fd, { uuid, extraXattrs });
    const keys = { ...(hmacKey === undefined ? {} : { hmacKey }), ...(keyring === undefined ? {} : { keyring }) };
    return appraiseEvm({ xattr, metadata, extraXattrs, ...keys });
  }

  #digester(algorithm: DigestAlgorithm): FileDigester {
    const there = this.#digesters.get(algorithm);
    if (there !== undefined) return there;
    const made = fileDigester(algorithm);
    this.#digesters.set(algorithm, made);
    return made;
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

function verityOf(fd: number): ReturnType<typeof verityDigest> {
  try {
    return verityDigest(fd);
  } catch (error) {
    if (error instanceof SysError) return undefined;
    throw error;
  }
}
