/**
 * The thread that decides, from its start to its end: waits, takes orders, results and events, and looks after what waits
 * too long. It says at each round that it is alive; who hears nothing for long ends it (`watchdog`).
 */
import { setPriority } from 'node:os';
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { CloseEvents, PermissionEvents, PollSet, tellPipe, Waker } from '../../sys/index.ts';
import { Counters } from '../counters.ts';
import type { DeciderOrder, DeciderReport } from '../messages.ts';
import { BEAT } from '../watchdog/watchdog.ts';
import { AccessRules } from './access-rules.ts';
import { Decider } from './decider.ts';
import { OwnFiles } from './own-files.ts';
import { Requesters } from './requester.ts';

/** What the thread is started with. */
export interface DeciderStart {
  /** {@link DeciderOrder}s come here, and {@link DeciderReport}s go back. */
  readonly port: MessagePort;
  /** Shared descriptors: permission events, news of closed files, the wake-up of this thread. */
  readonly events: number;
  readonly closed: number;
  readonly wake: number;
  readonly counters: Float64Array;
  /** Reports that nobody took yet. */
  readonly unread: Int32Array;
  readonly patienceMs: number;
  readonly isRemote: boolean;
  /** Where the watchdog hears that this thread is alive; told by an order where there is another one. */
  readonly heart: number | undefined;
  /** Processes and files of the guard itself. */
  readonly ownProcesses: readonly number[];
  readonly ownStates: readonly string[];
}

/** How long a round may wait where nothing is to be looked after. */
const IDLE_MS = 250;
/** How often the watchdog is told. */
const BEAT_MS = 200;
/** How soon leases are given up and late answers given. */
const BUSY_MS = 10;
/** Reports that may wait to be taken; those that nobody waits for are dropped beyond. */
const MAX_UNREAD = 1024;

class DeciderThread {
  readonly #start: DeciderStart;
  readonly #counters: Counters;
  readonly #requesters = new Requesters();
  readonly #own: OwnFiles;
  readonly #decider: Decider;
  #isStopped = false;
  #heart: number | undefined;
  #lastBeat = 0;

  constructor(start: DeciderStart) {
    this.#start = start;
    this.#heart = start.heart;
    this.#counters = new Counters(start.counters);
    this.#own = new OwnFiles(start.ownProcesses, start.ownStates, this.#requesters);
    this.#decider = new Decider({
      events: PermissionEvents.of(start.events),
      closed: CloseEvents.of(start.closed),
      counters: this.#counters,
      requesters: this.#requesters,
      own: this.#own,
      patienceMs: start.patienceMs,
      isRemote: start.isRemote,
      report: (report) => this.#report(report),
    });
  }

  run(): void {
    const { events, closed, wake } = this.#start;
    beforeOthers();
    const waker = Waker.of(wake);
    const everything = new PollSet([
      [wake, 'readable'],
      [events, 'readable'],
      [closed, 'readable'],
    ]);
    // Without labels that follow, closed files are looked at when something is executed; without room, nothing is taken.
    const executions = new PollSet([
      [wake, 'readable'],
      [events, 'readable'],
    ]);
    const results = new PollSet([[wake, 'readable']]);
    let lookedAfter = 0;
    while (!this.#isStopped) {
      const { hasRoom } = this.#decider.slow;
      const poll = hasRoom ? (this.#decider.followsContent ? everything : executions) : results;
      poll.wait(this.#decider.isBusy ? BUSY_MS : IDLE_MS);
      const now = performance.now();
      this.#beat(now);
      if (poll.isReady(0)) {
        waker.clear();
        this.#takeOrders(now);
        this.#decider.slow.takeResults(now);
      }
      if (poll === everything && poll.isReady(2)) this.#decider.takeClosed(now);
      if (poll !== results && poll.isReady(1)) this.#decider.takeEvents(now);
      if (now - lookedAfter >= BUSY_MS) {
        this.#decider.lookAfter(now);
        lookedAfter = now;
      }
    }
    this.#decider.releaseAll();
    this.#report({ kind: 'stopped' });
  }

  #beat(now: number): void {
    this.#counters.add('beats');
    if (this.#heart === undefined || now - this.#lastBeat < BEAT_MS) return;
    this.#lastBeat = now;
    tellPipe(this.#heart, BEAT);
  }

  #takeOrders(now: number): void {
    const { port } = this.#start;
    for (let got = receiveMessageOnPort(port); got !== undefined; got = receiveMessageOnPort(port)) {
      const order: DeciderOrder = got.message;
      switch (order.kind) {
        case 'policy':
          this.#decider.setRules(new AccessRules(order, this.#requesters));
          this.#report({ kind: 'in-force', policy: order.policy });
          break;
        case 'examiner':
          this.#decider.slow.examiners.add(order.port, order.progress);
          break;
        case 'device':
          this.#decider.setDevice(order.device, order.info);
          break;
        case 'remounted':
          this.#decider.forgetDevices();
          break;
        case 'measured':
          this.#decider.slow.measured(order.job, order.isDone, now);
          break;
        case 'own':
          this.#own.add(order.state);
          break;
        case 'heart':
          this.#heart = order.heart;
          break;
        case 'stop':
          this.#isStopped = true;
          break;
      }
    }
  }

  /** Somebody waits for a measurement; everything else may be lost. */
  #report(report: DeciderReport): void {
    const { unread, port } = this.#start;
    const mayBeDropped = report.kind === 'finding' || report.kind === 'file-hash' || report.kind === 'fault';
    if (mayBeDropped && Atomics.load(unread, 0) >= MAX_UNREAD) {
      this.#counters.add('droppedReports');
      return;
    }
    Atomics.add(unread, 0, 1);
    port.postMessage(report);
  }
}

/** Everybody waits for this thread: on Linux a priority is one thread's own (setpriority(2)). */
function beforeOthers(): void {
  try {
    setPriority(PRIORITY);
  } catch {
    // without CAP_SYS_NICE it waits its turn
  }
}

const PRIORITY = -15;

new DeciderThread(workerData).run();
