import { Appraiser } from './appraise-file.ts';
import { clearBatch } from './clear-file.ts';
import { Labeller } from './label-file.ts';
import type { Batch, BatchResult, Task } from './task.ts';

/** What does a task's batches, with its keys opened once. @throws what opening them throws */
export function runnerOf(task: Task): (batch: Batch) => BatchResult {
  switch (task.kind) {
    case 'label': {
      const labeller = new Labeller(task);
      return (batch) => labeller.run(batch);
    }
    case 'appraise': {
      const appraiser = new Appraiser(task);
      return (batch) => appraiser.run(batch);
    }
    case 'clear':
      return (batch) => clearBatch(task, batch);
  }
}
