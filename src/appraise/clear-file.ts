/** Takes labels away from files. */
import { closeFile, FileStatus, fgetXattr, fremoveXattr, openBeneath } from '../sys/index.ts';
import { type BatchTally, runBatch } from './batch-run.ts';
import { FileProblem } from './problem.ts';
import type { Batch, BatchResult, ClearTask, FileOutcome } from './task.ts';

export function clearBatch(task: ClearTask, batch: Batch): BatchResult {
  const status = new FileStatus();
  return runBatch(batch, false, (path, result) => clearFile(task, path, status, result));
}

function clearFile(task: ClearTask, path: Buffer, status: FileStatus, result: BatchTally): FileOutcome {
  const fd = openBeneath(task.root, path, task);
  try {
    if (!status.ofOpen(fd).isRegular) throw new FileProblem('became-other');
    const had = task.attributes.filter((name) =>
      task.dryRun ? fgetXattr(fd, name) !== undefined : fremoveXattr(fd, name),
    );
    result.files += 1;
    return { change: had.length > 0 ? 'removed' : 'none' };
  } finally {
    closeFile(fd);
  }
}
