/** What a thread does with a batch of paths, and what it answers: data that can be cloned, no functions. */
import type { DigestAlgorithm } from '../bytes/index.ts';
import type { SignerSource } from '../digsig/index.ts';
import type { AppraiseType, ImaCause } from '../ima/index.ts';
import type { FaultFound } from './bad-label.ts';
import type { JournalIndex } from './journal.ts';
import type { ProblemCode } from './problem.ts';
import type { VerityAlgorithm } from './verity-digest.ts';

/**
 * What happened to a file: a label where there was none, another than before, the same written or left, or not looked at
 * because the journal knows it; or labels taken away, or none there to take; or a label judged.
 */
export type LabelChange = 'added' | 'replaced' | 'same' | 'unchanged' | 'removed' | 'none' | 'good' | 'bad';

export const noChanges = (): Record<LabelChange, number> => ({
  added: 0,
  replaced: 0,
  same: 0,
  unchanged: 0,
  removed: 0,
  none: 0,
  good: 0,
  bad: 0,
});

/** `hmac` is this machine's own, `sign` this inode's, `portable` any copy's. */
export type EvmLabelling = {
  /** Names that the kernel's evm_xattrs holds too, in their order. */
  readonly extraXattrs?: readonly string[];
} & (
  | { readonly mode: 'hmac'; readonly key: Uint8Array }
  | { readonly mode: 'sign' | 'portable'; readonly signer: SignerSource }
);

export interface LabelTask {
  readonly kind: 'label';
  /** Descriptor of the root: threads of one process share descriptors. */
  readonly root: number;
  readonly algorithm: DigestAlgorithm;
  /** Where the label is to be a signature: each thread opens the key for itself. */
  readonly signer?: SignerSource;
  /** Signatures are of the digest that fs-verity gives, or will give by this algorithm: format 3, type 06. */
  readonly verity?: VerityAlgorithm;
  /** What `security.evm` is to hold; left out: it is not touched. */
  readonly evm?: EvmLabelling;
  /** `security.ima`, or `user.ima` where the caller is not root. */
  readonly attribute: string;
  readonly dryRun: boolean;
  readonly oneFileSystem: boolean;
  readonly labelIdentity: number;
  readonly journal?: JournalIndex;
  /** Whether states are to be noted for the journal. */
  readonly notes: boolean;
  /** Whether each file is reported, not only counts and problems. */
  readonly details: boolean;
}

/** Takes attributes away. */
export interface ClearTask {
  readonly kind: 'clear';
  readonly root: number;
  readonly attributes: readonly string[];
  readonly dryRun: boolean;
  readonly oneFileSystem: boolean;
}

/** Judges the label of each file. */
export interface AppraiseTask extends JudgeKeys {
  readonly kind: 'appraise';
  readonly root: number;
  readonly attribute: string;
  /** What the kernel's rule would ask for. */
  readonly type: AppraiseType;
  readonly oneFileSystem: boolean;
  /** Each file is reported, with its digest where judging its label has computed it in this algorithm. */
  readonly digestsIn?: DigestAlgorithm;
}

/** By what labels are judged. */
export interface JudgeKeys {
  /** Certificates and public keys, each with the name of its file. */
  readonly keys: readonly KeyFileBytes[];
  /** The kernel's `evm-key`; with neither this nor `evmKeys` EVM is not judged. */
  readonly evmHmacKey?: Uint8Array;
  readonly evmKeys: readonly KeyFileBytes[];
  /** Names that the kernel's evm_xattrs holds too. */
  readonly evmXattrs?: readonly string[];
  /** The kernel's `ima_hash=`, where it is not sha256. */
  readonly imaHash?: DigestAlgorithm;
  /** Keys that no longer verify and lists of hashes; for `keys` and `evmKeys` alike, as in the kernel. */
  readonly blacklist: readonly KeyFileBytes[];
}

export interface KeyFileBytes {
  readonly bytes: Uint8Array;
  readonly source: string;
}

export type Task = LabelTask | ClearTask | AppraiseTask;

/** A file whose label does not hold: what the label says, and what the file is, as `algorithm:hex` or words. */
export interface BadFile extends FaultFound {
  readonly path: Uint8Array;
}

/** The kernel's words (`ima_appraise.c`, the audit record's cause). */
export type AppraiseCause = ImaCause;

export interface Batch {
  readonly id: number;
  readonly paths: Uint8Array;
  /** What another batch left: files of several links, each inode once, and large ones. All of it is to be done. */
  readonly isLeft: boolean;
  /** Leave files of more bytes to another thread. */
  readonly largest?: number;
}

export interface FileOutcome {
  readonly change: LabelChange;
  readonly digest?: Uint8Array;
}

export interface FileDetail extends FileOutcome {
  readonly path: Uint8Array;
}

export interface BatchResult {
  readonly id: number;
  readonly files: number;
  readonly bytes: number;
  /** Files that were not done because something of another file system is mounted upon them. */
  readonly otherFileSystems: number;
  readonly changes: Readonly<Record<LabelChange, number>>;
  readonly problems: readonly BatchProblem[];
  /** Of an appraisal. */
  readonly bad: readonly BadFile[];
  /** Files that were not done: of several links, or too large. The caller sends each inode once. */
  readonly left: readonly { readonly path: Uint8Array; readonly inode: string }[];
  readonly details: readonly FileDetail[];
  /** Sealed journal records. */
  readonly records: Uint8Array;
}

export interface BatchProblem {
  readonly path: Uint8Array;
  readonly code: ProblemCode;
  readonly errno?: string;
}
