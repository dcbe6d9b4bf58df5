/** What the measuring process, its thread and the agent say to each other. */
import type { WatchReport } from './watch.ts';

export interface WatchSettings {
  readonly fanotify: boolean;
  readonly md5: boolean;
  readonly pollEvery: number;
  /** How long a file may give nothing, in ms, before it is left out. */
  readonly patience: number;
  /** Files that gave nothing before, as the kernel names them: not touched again. */
  readonly unanswered: readonly string[];
}

/** From the agent. */
export type WatchOrder =
  | { readonly kind: 'start'; readonly settings: WatchSettings }
  /** A report was listed. */
  | { readonly kind: 'listed' }
  | { readonly kind: 'stop' };

/** To the agent. */
export type WatchMessage =
  | WatchReport
  /** The thread is held up by this file. */
  | { readonly kind: 'stuck'; readonly path: string }
  | { readonly kind: 'failed'; readonly error: unknown }
  /** The last message. */
  | { readonly kind: 'ended' };

/** What the measuring thread is given. */
export interface WatchWorkerData {
  readonly control: Int32Array;
  /** The file that the thread is busy with. */
  readonly busy: Uint8Array;
  readonly settings: WatchSettings;
}

/**
 * Slots of `control`, shared by both threads: set to end the measuring thread; reports that were sent and not yet listed;
 * moves on with each part of a file that was read; length of the name in `busy`, 0 where the thread waits for nothing.
 */
export const STOPPED = 0;
export const UNREAD = 1;
export const PROGRESS = 2;
export const BUSY_LENGTH = 3;
export const CONTROL_SLOTS = 4;

/** The kernel gives names of a page at most (PATH_MAX). */
export const MAX_NAME = 4096;
