/** What the measuring thread is given. */
export interface WatchWorkerData {
  readonly control: Int32Array;
  readonly fanotify: boolean;
  readonly md5: boolean;
  readonly pollEvery: number;
}

/** Slots of `control`, shared by both threads: set to end the measuring thread; reports that were sent and not yet listed. */
export const STOPPED = 0;
export const UNREAD = 1;
