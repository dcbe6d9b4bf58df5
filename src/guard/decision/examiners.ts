/** The threads that read files, seen from the one that decides: it hands them jobs and never waits for one. */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { ExaminerOrder, ExaminerProgress, ExaminerResult } from '../messages.ts';
import type { Job } from './jobs.ts';

/** Reading more takes a while: one examiner is kept for files up to this size, in bytes. */
const LARGE = 64 * 2 ** 20;

/** How much of its file a job is given the time to read: what has grown since is looked at as what it is now. */
export const readingLimit = ({ size }: Pick<Job, 'size'>): number => (size > LARGE ? Number.POSITIVE_INFINITY : LARGE);

/** Owners whose turns are remembered. */
const MAX_OWNERS = 4096;

interface Examiner {
  readonly port: MessagePort;
  readonly progress: ExaminerProgress;
  job: Job | undefined;
  seen: number;
  movedAt: number;
  isStuck: boolean;
}

/** What is asked of whoever gives the jobs. */
export interface ExaminersUse {
  /** What is asked for with a job. */
  readonly orderOf: (job: Job) => ExaminerOrder;
  /** Somebody still waits for it. */
  readonly isWanted: (job: Job) => boolean;
  /** Nobody does, and it was not begun. */
  readonly drop: (job: Job) => void;
}

export class Examiners {
  readonly #examiners: Examiner[] = [];
  readonly #queue: Job[] = [];
  /** Owner of files → when one was read last, counted in readings. */
  readonly #servedAt = new Map<number, number>();
  #readings = 0;
  readonly #use: ExaminersUse;

  constructor(use: ExaminersUse) {
    this.#use = use;
  }

  add(port: MessagePort, progress: ExaminerProgress): void {
    this.#examiners.push({ port, progress, job: undefined, seen: 0, movedAt: 0, isStuck: false });
  }

  submit(job: Job, now: number): void {
    this.#queue.push(job);
    this.#start(now);
  }

  /** For what may wait for its file system in closing a descriptor, too. Left to whoever is there, busy or not. */
  closeElsewhere(fd: number): void {
    const examiner = this.#examiners.find(({ isStuck }) => !isStuck) ?? this.#examiners[0];
    examiner?.port.postMessage({ kind: 'close', fd } satisfies ExaminerOrder);
  }

  takeResults(now: number, use: (job: Job, result: ExaminerResult) => void): void {
    for (const examiner of this.#examiners) {
      for (
        let got = receiveMessageOnPort(examiner.port);
        got !== undefined;
        got = receiveMessageOnPort(examiner.port)
      ) {
        const result: ExaminerResult = got.message;
        const { job } = examiner;
        examiner.job = undefined;
        examiner.isStuck = false;
        if (job !== undefined && job.id === result.job) use(job, result);
      }
    }
    this.#start(now);
  }

  /** Files that nobody waits for any more are read no further. */
  abandonUnwanted(): void {
    for (const { job, progress } of this.#examiners) {
      if (job !== undefined && !this.#use.isWanted(job)) Atomics.store(progress, 1, job.id);
    }
  }

  /** Gives up jobs whose file gave nothing for `patience` ms, and those that wait behind such. @returns them */
  giveUp(now: number, patience: number): Job[] {
    const givenUp: Job[] = [];
    for (const examiner of this.#examiners) {
      const { job, isStuck } = examiner;
      if (job === undefined || isStuck) continue;
      const progress = Atomics.load(examiner.progress, 0);
      if (progress !== examiner.seen) {
        examiner.seen = progress;
        examiner.movedAt = now;
      } else if (now - examiner.movedAt > patience) {
        examiner.isStuck = true;
        givenUp.push(job);
      }
    }
    if (this.#examiners.every(({ isStuck }) => isStuck)) {
      while (this.#queue[0] !== undefined && now - this.#queue[0].since > patience) {
        const job = this.#queue.shift();
        if (job !== undefined) givenUp.push(job);
      }
    }
    return givenUp;
  }

  #start(now: number): void {
    while (this.#queue.length > 0) {
      const free = this.#examiners.find(({ job, isStuck }) => job === undefined && !isStuck);
      if (free === undefined) return;
      const job = this.#next();
      if (job === undefined) return;
      this.#queue.splice(this.#queue.indexOf(job), 1);
      if (!this.#use.isWanted(job)) {
        this.#use.drop(job);
        continue;
      }
      this.#servedAt.delete(job.owner);
      if (this.#servedAt.size >= MAX_OWNERS) this.#servedAt.clear();
      this.#servedAt.set(job.owner, ++this.#readings);
      job.stage = 'reading';
      free.job = job;
      free.seen = Atomics.load(free.progress, 0);
      free.movedAt = now;
      free.port.postMessage(this.#use.orderOf(job));
    }
  }

  /**
   * The first of the owner who has waited longest for a turn: who has many files, or makes them large, holds up none but
   * himself. Where large files keep all but one busy, of those that are small.
   */
  #next(): Job | undefined {
    const able = this.#examiners.filter(({ isStuck }) => !isStuck);
    const large = able.filter(({ job }) => job !== undefined && job.size > LARGE);
    const isSmallOnly = able.length >= 2 && large.length >= able.length - 1;
    let next: Job | undefined;
    let longest = Number.POSITIVE_INFINITY;
    for (const job of this.#queue) {
      const servedAt = this.#servedAt.get(job.owner) ?? 0;
      if (servedAt >= longest || (isSmallOnly && job.size > LARGE)) continue;
      next = job;
      longest = servedAt;
    }
    return next;
  }
}
