import { FileStatus, type LeaseTaken } from '../../sys/index.ts';
import type { DeviceInfo } from '../messages.ts';
import { NO_SLOT, wordsOf } from './file-table.ts';
import type { Plan } from './plans.ts';

/** What one event is about, as long as its batch is looked at. */
export interface Look {
  readonly status: FileStatus;
  readonly words: Int32Array;
  slot: number;
  plan: Plan | undefined;
  device: DeviceInfo | undefined;
  /** Undefined where it was not asked for: nothing is wanted of the file. */
  lease: LeaseTaken | undefined;
}

export function newLook(): Look {
  const status = new FileStatus();
  return { status, words: wordsOf(status), slot: NO_SLOT, plan: undefined, device: undefined, lease: undefined };
}
