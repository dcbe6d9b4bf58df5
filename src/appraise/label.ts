/** Labels a tree: `security.ima` of every regular file. */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { crc32 } from 'node:zlib';
import { type DigestAlgorithm, digest, digestInfo } from '../bytes/index.ts';
import { type KernelLimit, kernelLimitById, openSigner, type Signer, type SignerSource } from '../digsig/index.ts';
import { padEvmKey } from '../evm/index.ts';
import type { AppraiseType } from '../ima/index.ts';
import { AppraiseError } from './error.ts';
import { Journal } from './journal.ts';
import { hashesOf, keyringOf } from './label-judge.ts';
import {
  type BadFile,
  type BatchResult,
  type EvmLabelling,
  type FileDetail,
  type KeyFileBytes,
  type LabelChange,
  type LabelTask,
  noChanges,
  type Task,
} from './task.ts';
import { runTree, type TreeCounts, TreeRoot, type TreeRunOptions } from './tree-run.ts';
import { isVerityAlgorithm, type VerityAlgorithm } from './verity-digest.ts';
import { TreeWalk, type WalkOptions } from './walk.ts';

export interface LabelOptions extends Omit<TreeRunOptions, 'jobs'> {
  /** As the kernel's default is in most distributions: sha256. */
  readonly algorithm?: DigestAlgorithm;
  /** Left out: as many as the machine has cores. */
  readonly jobs?: number;
  /** Labels are signatures by this key; left out: digests. */
  readonly signer?: SignerSource;
  /**
   * Sign the digest that fs-verity gives instead of the content's; where it is not enabled, the one that it will give with
   * its defaults. Needs `signer`.
   */
  readonly verity?: boolean;
  /** Write `security.evm` too, after the label. */
  readonly evm?: EvmLabelling;
  /** Change nothing, say what would be. */
  readonly dryRun?: boolean;
  /** File that remembers which files bear their label; see journal.ts. */
  readonly journal?: string;
  /** `user.` where the caller is not root; the kernel judges `security.` alone. */
  readonly namespace?: 'security' | 'user';
  /** Hears, before the first file, why the kernel will not verify these signatures though they are right. */
  readonly onLimit?: (limit: KernelLimit) => void;
  /** Hears of every file with its content's digest, from this thread, in any order. */
  readonly onFile?: (file: FileDetail) => void;
}

export interface LabelSummary extends TreeCounts {
  readonly changes: Readonly<Record<LabelChange, number>>;
}

export const MAX_JOBS = 256;

/**
 * Labels each regular file of the tree once. What goes wrong with one file is reported and counted, and the rest is done.
 * @throws {AppraiseError} what stops the run: root, journal, options
 * @throws {DigestAlgorithmError}
 */
export async function labelTree(tree: string, options: LabelOptions = {}): Promise<LabelSummary> {
  const {
    jobs = availableParallelism(),
    algorithm = 'sha256',
    namespace = 'security',
    dryRun = false,
    verity = false,
  } = options;
  checkJobs(jobs);
  digestInfo(algorithm);
  // A key that does not open ends the run before a thread starts.
  const signer = options.signer === undefined ? undefined : openSigner(options.signer);
  if (options.evm !== undefined && namespace === 'user') {
    throw new AppraiseError('appraise.option', 'EVM labels in the user namespace', {
      advice: 'EVM covers security.ima alone',
    });
  }
  for (const limit of limitsOf([signer, evmSigner(options.evm)], algorithm)) options.onLimit?.(limit);
  const verityHash = verity ? verityAlgorithm(algorithm, signer) : undefined;
  const evm = options.evm === undefined ? '' : evmText(options.evm);
  const root = new TreeRoot(tree);
  let journal: Journal | undefined;
  try {
    journal = options.journal === undefined ? undefined : new Journal(options.journal);
    const attribute = `${namespace}.ima`;
    const task: LabelTask = {
      kind: 'label',
      root: root.fd,
      algorithm,
      attribute,
      ...(verityHash === undefined ? {} : { verity: verityHash }),
      dryRun,
      oneFileSystem: options.oneFileSystem === true,
      labelIdentity: crc32(
        JSON.stringify([attribute, algorithm, signer === undefined ? '' : keyText(signer), evm, verity]),
      ),
      ...(options.signer === undefined ? {} : { signer: options.signer }),
      ...(options.evm === undefined ? {} : { evm: options.evm }),
      ...(journal === undefined ? {} : { journal: journal.index }),
      notes: journal !== undefined,
      details: options.onFile !== undefined,
    };
    return await run(root, task, { ...options, jobs }, journal);
  } finally {
    journal?.close();
    root.close();
  }
}

const evmSigner = (evm: EvmLabelling | undefined): Signer | undefined =>
  evm === undefined || evm.mode === 'hmac' ? undefined : openSigner(evm.signer);

function limitsOf(signers: readonly (Signer | undefined)[], algorithm: DigestAlgorithm): Set<KernelLimit> {
  return new Set(
    signers.flatMap((signer) => {
      const limit = signer === undefined ? undefined : kernelLimitById(signer, algorithm);
      return limit === undefined ? [] : [limit];
    }),
  );
}

function verityAlgorithm(algorithm: DigestAlgorithm, signer: Signer | undefined): VerityAlgorithm {
  if (signer === undefined) {
    throw new AppraiseError('appraise.option', 'labels of the digest of fs-verity, and no key', {
      advice: 'the kernel takes them as signatures alone: give a key to sign by',
    });
  }
  if (isVerityAlgorithm(algorithm)) return algorithm;
  throw new AppraiseError('appraise.option', `fs-verity has no ${algorithm}`, { advice: 'use sha256 or sha512' });
}

/** Which key, and the id that its signatures carry. */
function keyText({ keyId, publicKey }: Signer): string {
  return `${keyId} ${publicKey.export({ type: 'spki', format: 'der' }).toString('base64')}`;
}

/** Which EVM label, for the journal; opens the key. @throws {EvmError} for an HMAC key of a wrong size */
function evmText(evm: EvmLabelling): string {
  if (evm.mode !== 'hmac') return `${evm.mode} ${keyText(openSigner(evm.signer))}`;
  // A digest: the journal is no place for what tells a key.
  return `hmac ${digest('sha256', padEvmKey(evm.key)).toString('hex')}`;
}

export interface AppraiseOptions extends Omit<TreeRunOptions, 'jobs'> {
  readonly jobs?: number;
  readonly namespace?: 'security' | 'user';
  /** Certificates and public keys that signatures verify by. */
  readonly keys?: readonly KeyFileBytes[];
  /** The payload of the kernel's `evm-key`: HMACs of `security.evm` are judged by it. */
  readonly evmHmacKey?: Uint8Array;
  /** What signatures in `security.evm` verify by. */
  readonly evmKeys?: readonly KeyFileBytes[];
  /** Names that the kernel's evm_xattrs holds too, in their order. */
  readonly evmXattrs?: readonly string[];
  /** What the kernel's rule would ask for; left out: `hash`, a rule without appraise_type. */
  readonly type?: AppraiseType;
  /** The kernel's `ima_hash=`: with what it hashes a file whose label names no algorithm. Left out: sha256. */
  readonly imaHash?: DigestAlgorithm;
  /** Certificates and public keys that no longer verify, and lists of hashes (see `readBlacklist` of digsig). */
  readonly blacklist?: readonly KeyFileBytes[];
  /** Hears of each file whose label does not hold, in any order. */
  readonly onBad?: (file: BadFile) => void;
  /** Report each file to `onFile`, with its digest where judging its label has computed it in this algorithm. */
  readonly digestsIn?: DigestAlgorithm;
  readonly onFile?: (file: FileDetail) => void;
}

/**
 * Judges the label of each regular file as the kernel would; nothing is changed.
 * @throws {AppraiseError} @throws {DigsigError} for keys that cannot be read
 */
export async function appraiseTree(tree: string, options: AppraiseOptions = {}): Promise<LabelSummary> {
  const { jobs = availableParallelism(), keys = [], type = 'hash', oneFileSystem = false } = options;
  checkJobs(jobs);
  const { evmKeys = [], evmHmacKey, blacklist = [], imaHash } = options;
  if (evmHmacKey !== undefined) padEvmKey(evmHmacKey);
  // Keys that cannot be read end the run before a thread starts.
  for (const ring of [keys, evmKeys]) keyringOf(ring, blacklist);
  if (type === 'hash' && hashesOf(blacklist).size > 0) {
    throw new AppraiseError('appraise.option', 'a blacklist of hashes, and no signature is required', {
      advice: 'the kernel asks it only where a rule wants a signature: require signatures, or name keys alone',
    });
  }
  const root = new TreeRoot(tree);
  try {
    const attribute = `${options.namespace ?? 'security'}.ima`;
    const hmac = evmHmacKey === undefined ? {} : { evmHmacKey };
    const digests = options.digestsIn === undefined ? {} : { digestsIn: options.digestsIn };
    const hash = imaHash === undefined ? {} : { imaHash: digestInfo(imaHash).name };
    const extra = options.evmXattrs === undefined ? {} : { evmXattrs: options.evmXattrs };
    const judged = { attribute, keys, evmKeys, blacklist, type, ...hash, ...hmac, ...extra, ...digests };
    const task: Task = { kind: 'appraise', root: root.fd, oneFileSystem, ...judged };
    return await run(root, task, { ...options, jobs }, undefined);
  } finally {
    root.close();
  }
}

export interface ClearOptions extends Omit<TreeRunOptions, 'jobs'> {
  readonly jobs?: number;
  readonly dryRun?: boolean;
  /** Whole names: `security.ima`. */
  readonly attributes: readonly string[];
}

/** Takes attributes away from each regular file. @throws {AppraiseError} */
export async function clearTree(tree: string, options: ClearOptions): Promise<LabelSummary> {
  const { jobs = availableParallelism(), dryRun = false, attributes, oneFileSystem = false } = options;
  checkJobs(jobs);
  const root = new TreeRoot(tree);
  try {
    const task: Task = { kind: 'clear', root: root.fd, attributes, dryRun, oneFileSystem };
    return await run(root, task, { ...options, jobs }, undefined);
  } finally {
    root.close();
  }
}

/** How many regular files a run with these options will meet: for the time that is left. @throws {AppraiseError} */
export function countTree(tree: string, options: WalkOptions): number {
  const root = new TreeRoot(tree);
  try {
    if (root.only !== undefined) return 1;
    const walk = new TreeWalk(root.fd, options);
    for (const _ of walk.batches()) walk.problems.length = 0;
    return walk.counts.files;
  } finally {
    root.close();
  }
}

function checkJobs(jobs: number): void {
  if (Number.isInteger(jobs) && jobs >= 1 && jobs <= MAX_JOBS) return;
  throw new AppraiseError('appraise.option', `${jobs} threads`, { advice: `name 1 to ${MAX_JOBS}` });
}

const CHANGES = [
  'added',
  'replaced',
  'same',
  'unchanged',
  'removed',
  'none',
  'good',
  'bad',
] as const satisfies readonly LabelChange[];

async function run(
  root: TreeRoot,
  task: Task,
  options: Omit<LabelOptions, 'jobs'> & Pick<AppraiseOptions, 'onBad'> & { readonly jobs: number },
  journal: Journal | undefined,
): Promise<LabelSummary> {
  const changes = noChanges();
  const onBatch = (result: BatchResult): void => {
    for (const change of CHANGES) changes[change] += result.changes[change];
    journal?.append(result.records);
    for (const file of result.details) options.onFile?.(file);
    for (const file of result.bad) options.onBad?.(file);
  };
  const own = options.journal === undefined ? undefined : root.beneath(resolve(options.journal));
  const leaveOut = own === undefined ? {} : { leaveOut: Buffer.from(own) };
  const counts = await runTree(root, task, { ...options, ...leaveOut, onBatch });
  return { ...counts, changes };
}
