/** What cannot be decided at once: accesses that wait until somebody has read the file. */
import type { DeviceInfo, ExamineResult } from '../messages.ts';
import type { Place } from './places.ts';
import type { AccessKind, Plan } from './plans.ts';

/** Somebody waits for an answer. */
export interface Access {
  /** The event's descriptor, open for reading. */
  readonly fd: number;
  /** The thread that waits. */
  readonly id: number;
  readonly isExec: boolean;
  readonly kind: AccessKind;
  readonly plan: Plan;
  /** What may be found where it leads, where the plan appraises; undefined in no labelled tree. */
  readonly place: Place | undefined;
}

/** An access of which not even the file system is known. */
export type UnknownAccess = Pick<Access, 'fd' | 'id' | 'isExec'>;

interface AnyJob {
  readonly id: number;
  /** The descriptor that is read, to be closed when nobody reads it any more. */
  readonly fd: number;
  /** In bytes; it may turn out larger than it was when it was asked for. */
  size: number;
  /** User who owns the file. */
  readonly owner: number;
  readonly device: number;
  readonly since: number;
  /** The policy that it was begun under: bits and places are its own. */
  readonly policy: number;
  /** `given-up`: everybody was answered, and the examiner still has the descriptor. */
  stage: 'waiting' | 'reading' | 'measuring' | 'given-up';
}

export interface ExamineJob extends AnyJob {
  readonly kind: 'examine';
  /** `NO_SLOT` where nothing can be kept of the file. */
  readonly slot: number;
  readonly info: DeviceInfo;
  /** Nobody had it open for writing when it was asked for, nor since: what was known of it then holds. */
  readonly isUnwritten: boolean;
  /** The first one's descriptor is read; others want the same file. */
  readonly accesses: [Access, ...Access[]];
  /** While its measurements are put into the list. */
  result?: ExamineResult;
}

export interface RelabelJob extends AnyJob {
  readonly kind: 'relabel';
  readonly slot: number;
  /** They want the file meanwhile. */
  readonly accesses: Access[];
}

export interface DescribeJob extends AnyJob {
  readonly kind: 'describe';
  readonly accesses: UnknownAccess[];
}

export type Job = ExamineJob | RelabelJob | DescribeJob;
