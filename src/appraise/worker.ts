/** A thread of the pool: opens what its task needs once, then answers batches. */
import { parentPort, workerData } from 'node:worker_threads';
import { runnerOf } from './runner.ts';
import type { Batch, Task } from './task.ts';

const port = parentPort;
if (port !== null) {
  const task: Task = workerData;
  let runner: ReturnType<typeof runnerOf> | undefined;
  port.on('message', (batch: Batch) => {
    runner ??= runnerOf(task);
    port.postMessage(runner(batch));
  });
}
