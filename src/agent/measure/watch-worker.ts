/** Entry of the measuring thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { FileMeasurer } from './measurer.ts';
import { watch } from './watch.ts';
import { BUSY_LENGTH, PROGRESS, STOPPED, UNREAD, type WatchWorkerData } from './watch-control.ts';

/** Reports that may wait to be listed. Beyond it this thread stops reading, so that the kernel's queue fills and says so. */
const MAX_UNREAD = 64;

function run({ control, busy, settings }: WatchWorkerData): void {
  const { md5, fanotify, pollEvery, unanswered } = settings;
  const isStopped = () => Atomics.load(control, STOPPED) !== 0;
  const measurer = new FileMeasurer({
    md5,
    unanswered: new Set(unanswered),
    progress: {
      begin: (name) => {
        const length = Buffer.from(busy.buffer).write(name, 'latin1');
        Atomics.add(control, PROGRESS, 1);
        Atomics.store(control, BUSY_LENGTH, length);
      },
      moved: () => void Atomics.add(control, PROGRESS, 1),
      end: () => void Atomics.store(control, BUSY_LENGTH, 0),
    },
  });
  watch({
    fanotify,
    pollEvery,
    isStopped,
    measurer,
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
