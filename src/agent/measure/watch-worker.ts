/** Entry of the measuring thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { FileMeasurer } from './measurer.ts';
import { watch } from './watch.ts';
import { STOPPED, UNREAD, type WatchWorkerData } from './watch-control.ts';

/** Reports that may wait to be listed. Beyond it this thread stops reading, so that the kernel's queue fills and says so. */
const MAX_UNREAD = 64;

function run(data: WatchWorkerData): void {
  const { control, md5, fanotify, pollEvery } = data;
  const isStopped = () => Atomics.load(control, STOPPED) !== 0;
  watch({
    fanotify,
    pollEvery,
    isStopped,
    measurer: new FileMeasurer({ md5 }),
    sleep: (milliseconds) => void Atomics.wait(control, STOPPED, 0, milliseconds),
    report: (report) => {
      Atomics.add(control, UNREAD, 1);
      parentPort?.postMessage(report);
      for (let unread = MAX_UNREAD + 1; unread > MAX_UNREAD && !isStopped(); ) {
        unread = Atomics.load(control, UNREAD);
        if (unread > MAX_UNREAD) Atomics.wait(control, UNREAD, unread, 100);
      }
    },
  });
}

if (parentPort !== null) run(workerData);
