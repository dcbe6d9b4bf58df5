/** A thread that reads files: opens the keys when it is told of them, then answers the thread that decides. */
import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { closeFile, SysError, Waker } from '../../sys/index.ts';
import { describeDevice } from '../file-systems.ts';
import type { DeviceInfo, ExaminerOrder, ExaminerResult, ExaminerSetup, ExaminerStart } from '../messages.ts';
import { Abandoned, FileExaminer, Grown } from './examiner.ts';

function run({ setups, orders, wake, progress }: ExaminerStart): void {
  const waker = Waker.of(wake);
  let current = 0;
  const moved = (): void => {
    Atomics.add(progress, 0, 1);
    if (Atomics.load(progress, 1) === current) throw new Abandoned();
  };
  let examiner: FileExaminer | undefined;
  const latest = (): FileExaminer => {
    for (let got = receiveMessageOnPort(setups); got !== undefined; got = receiveMessageOnPort(setups)) {
      const setup: ExaminerSetup = got.message;
      examiner = new FileExaminer(setup, moved);
    }
    if (examiner === undefined) throw new Error('an order came before the keys');
    return examiner;
  };
  orders.on('message', (order: ExaminerOrder) => {
    if (order.kind === 'close') {
      closeFile(order.fd);
      return;
    }
    current = order.job;
    orders.postMessage(resultOf(order, latest()));
    waker.wake();
  });
}

type Reading = Exclude<ExaminerOrder, { kind: 'close' }>;

function resultOf(order: Reading, examiner: FileExaminer): ExaminerResult {
  try {
    return done(order, examiner);
  } catch (error) {
    if (error instanceof Grown) return { kind: 'grown', job: order.job, size: error.size };
    if (error instanceof Abandoned) return { kind: 'abandoned', job: order.job };
    throw error;
  }
}

function done(order: Reading, examiner: FileExaminer): ExaminerResult {
  switch (order.kind) {
    case 'examine':
      return examiner.examine(order);
    case 'relabel':
      return relabelled(order.job, () => examiner.relabel(order.fd, order.limit));
    case 'describe':
      return { kind: 'described', job: order.job, info: described(order.fd) };
  }
}

function relabelled(job: number, write: () => boolean): ExaminerResult {
  try {
    return { kind: 'relabelled', job, isChanged: write() };
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return { kind: 'relabelled', job, isChanged: false, fault: error.message };
  }
}

/** Of a file system that does not say what it is, nothing is taken for granted. */
function described(fd: number): DeviceInfo {
  try {
    return describeDevice(fd);
  } catch {
    return { magic: 0, tellsChanges: false, isReadOnly: false, isUnverifiable: true };
  }
}

run(workerData);
