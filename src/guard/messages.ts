/** What the guard's threads say to each other: plain data, for it is copied. */
import type { MessagePort } from 'node:worker_threads';
import type { JudgeKeys } from '../appraise/index.ts';
import type { DigestAlgorithm } from '../bytes/index.ts';
import type { PlacedRule } from '../ima/policy/index.ts';
import type { PlannedTask } from './decision/plans.ts';
import type { RequestingTask } from './decision/requester.ts';
import type { GuardMode } from './mode.ts';

/** A file system as policies tell them apart. */
export interface DeviceInfo {
  readonly magic: number;
  readonly name?: string;
  readonly subtype?: string;
  /** 16 bytes; undefined without one. */
  readonly uuid?: Uint8Array;
  /** What was found of a file holds until the file says otherwise: ctime, writers and closing are told truly. */
  readonly tellsChanges: boolean;
  /** Nothing on it can change: mounted read-only as a whole. */
  readonly isReadOnly: boolean;
  /** Whoever serves it may give other content at each read (SB_I_IMA_UNVERIFIABLE_SIGNATURE: FUSE). */
  readonly isUnverifiable: boolean;
}

/** A policy in force, with what depends on it. */
export interface PolicyOrder {
  readonly kind: 'policy';
  /** Counts the policies of this guard. */
  readonly policy: number;
  readonly rules: readonly PlacedRule[];
  readonly mode: GuardMode;
  readonly failSecurely: boolean;
  readonly trees: readonly TreePlaces[];
}

/** What the directory labels of a tree vouch for: what may be found at each path. */
export interface TreePlaces {
  /** Of the tree's top, absolute, its bytes as Latin-1. */
  readonly root: string;
  /** File systems that the tree is on, as `deviceKey` numbers them. */
  readonly devices: readonly number[];
  readonly algorithm: DigestAlgorithm;
  /** Path below the top, its bytes as Latin-1 → index of `contents`, or, below 0, -1 - index of `faults`. */
  readonly paths: ReadonlyMap<string, number>;
  readonly contents: readonly VouchedContent[];
  readonly faults: readonly GuardFault[];
}

export interface VouchedContent {
  readonly digest: Uint8Array;
  /** False: good only for a file that is signed itself. See `VouchedFile`. */
  readonly isProven: boolean;
}

/** What is to be found where a file was opened. */
export type ExpectedContent =
  | ({ readonly algorithm: DigestAlgorithm } & VouchedContent)
  /** Nothing is vouched for there. */
  | { readonly fault: GuardFault };

/** To the thread that decides. */
export type DeciderOrder =
  | PolicyOrder
  | { readonly kind: 'examiner'; readonly port: MessagePort; readonly progress: ExaminerProgress }
  | { readonly kind: 'device'; readonly device: number; readonly info: DeviceInfo }
  /** File systems may be writable now that were not. */
  | { readonly kind: 'remounted' }
  /** A file of the guard's own is as this says (`stateText`). */
  | { readonly kind: 'own'; readonly state: string }
  /** There is another watchdog. */
  | { readonly kind: 'heart'; readonly heart: number | undefined }
  /** What was to be measured stands in the list and in the PCR, or could not be put there. */
  | { readonly kind: 'measured'; readonly job: number; readonly isDone: boolean }
  | { readonly kind: 'stop' };

/** From the thread that decides. */
export type DeciderReport =
  | FindingReport
  | { readonly kind: 'measure'; readonly job: number; readonly measurements: readonly Measurement[] }
  | {
      readonly kind: 'file-hash';
      readonly task: RequestingTask | undefined;
      readonly file: Uint8Array;
      readonly digest: FileHash;
    }
  /** An examiner gives no answer: another one is wanted. */
  | { readonly kind: 'stuck'; readonly path: Uint8Array }
  /** Something of ours went wrong with one access; it was answered as the mode says. */
  | { readonly kind: 'fault'; readonly message: string }
  | { readonly kind: 'in-force'; readonly policy: number }
  | { readonly kind: 'stopped' };

export interface FileHash {
  readonly algorithm: DigestAlgorithm;
  readonly digest: Uint8Array;
}

/** A label that does not hold, or an access that could not be judged. */
export interface FindingReport {
  readonly kind: 'finding';
  readonly isDenied: boolean;
  readonly access: 'execute' | 'open';
  readonly path: Uint8Array;
  readonly inode: bigint;
  readonly device: number;
  readonly task: RequestingTask | undefined;
  readonly fault: GuardFault;
}

/** As the kernel's audit records have operation and cause, and causes of our own where the kernel has none. */
export interface GuardFault {
  readonly op: 'appraise_data' | 'collect_data' | 'invalid_pcr' | 'add_template_measure';
  readonly cause: string;
  readonly expected?: string;
  readonly found?: string;
}

/** What a thread that reads files is started with. */
export interface ExaminerStart {
  /** {@link ExaminerSetup}s come here. They are looked for before each order, which may be of a newer policy. */
  readonly setups: MessagePort;
  /** {@link ExaminerOrder}s come here, and {@link ExaminerResult}s go back. */
  readonly orders: MessagePort;
  /** Wakes who gave the order. */
  readonly wake: number;
  readonly progress: ExaminerProgress;
}

/**
 * Two numbers in memory that both threads share: the first moves on with each part of a file that was read, the second is the
 * job that nobody waits for any more.
 */
export type ExaminerProgress = Int32Array;

export interface ExaminerSetup {
  readonly keys: JudgeKeys;
  readonly mode: GuardMode;
  /** Of measurements whose rule names none. */
  readonly template: string;
}

/** To a thread that reads files. */
export type ExaminerOrder =
  | ExamineOrder
  | { readonly kind: 'relabel'; readonly job: number; readonly fd: number; readonly limit: number }
  | { readonly kind: 'describe'; readonly job: number; readonly fd: number }
  | { readonly kind: 'close'; readonly fd: number };

export interface ExamineOrder {
  readonly kind: 'examine';
  readonly job: number;
  readonly fd: number;
  /** Bytes: a file that is longer now is not read, but told of. */
  readonly limit: number;
  readonly tasks: readonly PlannedTask[];
  /** It is to be executed: nobody may write meanwhile. */
  readonly isExec: boolean;
  /** It is opened to be written: an empty file without a label is a new one. */
  readonly isWriting: boolean;
  readonly isUnverifiable: boolean;
  /** It was told already that it is measured while somebody writes. */
  readonly isViolationTold: boolean;
  /** By the directory labels; undefined where they are not asked. */
  readonly expected: ExpectedContent | undefined;
}

/** From a thread that reads files. */
export type ExaminerResult =
  | ExamineResult
  /** `isChanged`: the label is another one than before. */
  | { readonly kind: 'relabelled'; readonly job: number; readonly isChanged: boolean; readonly fault?: string }
  | { readonly kind: 'described'; readonly job: number; readonly info: DeviceInfo }
  /** Nobody waits for it any more; nothing was done. */
  | { readonly kind: 'abandoned'; readonly job: number }
  /** It is longer than the order's limit; nothing was done. */
  | { readonly kind: 'grown'; readonly job: number; readonly size: number };

export interface ExamineResult {
  readonly kind: 'examined';
  readonly job: number;
  /** Bits of the tasks that are done, and of those that failed. */
  readonly good: number;
  readonly bad: number;
  /** Nobody could write while it was read, and it is as it was before. */
  readonly isStable: boolean;
  /** Somebody had it open for writing all the time. */
  readonly hasWriters: boolean;
  /** A lease is held on the descriptor. */
  readonly isLeased: boolean;
  /** struct statx, from after the reading. */
  readonly status: Int32Array;
  /** Its label is a signature. */
  readonly isSigned: boolean;
  readonly faults: readonly { readonly bit: number; readonly fault: GuardFault }[];
  /** Whether it is what the order expected there; undefined where that was not looked at. */
  readonly place?: 'good' | GuardFault;
  readonly measurements: readonly Measurement[];
  readonly digest?: FileHash;
}

/** An entry of the measurement list. */
export interface Measurement {
  readonly bit: number;
  readonly pcr: number;
  readonly template: string;
  readonly fields: readonly Uint8Array[];
  readonly isViolation: boolean;
}
