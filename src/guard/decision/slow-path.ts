/** Accesses that wait because their file has to be read: jobs, their results, and what comes of those that never end. */
import { closeFile, type FileStatus } from '../../sys/index.ts';
import type { Counters } from '../counters.ts';
import type {
  DeciderReport,
  DeviceInfo,
  ExamineResult,
  ExaminerOrder,
  ExaminerResult,
  GuardFault,
} from '../messages.ts';
import type { GuardMode } from '../mode.ts';
import { pathOfOpen } from '../open-path.ts';
import type { Answers } from './answers.ts';
import { Examiners, readingLimit } from './examiners.ts';
import { deviceKey, FLAG, NO_SLOT, stateText, statusOf } from './file-table.ts';
import type { Access, DescribeJob, ExamineJob, Job, RelabelJob, UnknownAccess } from './jobs.ts';
import type { KnownFiles } from './known-files.ts';
import type { Look } from './look.ts';
import type { OwnFiles } from './own-files.ts';
import { isWriting } from './plans.ts';
import type { Requesters } from './requester.ts';

/** Accesses that may wait at once, each with an open descriptor: beyond it no more are taken from the kernel's queue. */
const MAX_WAITING = 4096;

/** After a file system gave nothing for one file, its other files are not waited for either, that long. */
const SILENT_MS = 30_000;

/** How often it is looked whether anybody still waits for what is being read. */
const UNWANTED_MS = 500;

export interface SlowPathParts {
  readonly known: KnownFiles;
  readonly answers: Answers;
  readonly counters: Counters;
  readonly own: OwnFiles;
  readonly requesters: Requesters;
  readonly patienceMs: number;
  readonly report: (report: DeciderReport) => void;
  /** Decides from the beginning. */
  readonly again: (access: UnknownAccess, now: number) => void;
  /** Allows what was found good. */
  readonly grant: (access: Access, granted: Granted, now: number) => void;
}

export interface Granted {
  readonly slot: number;
  readonly status: FileStatus;
  /** A lease is held on the access's own descriptor. */
  readonly isLeased: boolean;
  readonly isSigned: boolean;
}

const WRITERS: GuardFault = {
  op: 'appraise_data',
  cause: 'open_writers',
  expected: 'a program that nobody writes to',
  found: 'one that is open for writing',
};

type Labelling = Pick<RelabelJob, 'slot' | 'fd' | 'size' | 'owner' | 'device'>;

export class SlowPath {
  readonly #parts: SlowPathParts;
  readonly examiners: Examiners = new Examiners({
    orderOf: (job) => this.#orderOf(job),
    isWanted: (job) => this.#isWanted(job),
    drop: (job) => this.#drop(job),
  });
  /** Those that somebody waits for, or whose descriptor an examiner still has. */
  readonly #jobs = new Map<number, Job>();
  readonly #jobOfSlot = new Map<number, ExamineJob | RelabelJob>();
  readonly #describing = new Map<number, DescribeJob>();
  /** Labels that are to follow when the file's job is done. */
  readonly #postponed = new Map<number, Labelling>();
  readonly #silentUntil = new Map<number, number>();
  #nextJob = 1;
  #lookedForOthers = 0;
  #waiting = 0;
  mode: GuardMode = 'log';
  #policy = 0;

  constructor(parts: SlowPathParts) {
    this.#parts = parts;
  }

  /** There is another policy: what is found for the one before is not kept. */
  setPolicy(mode: GuardMode): void {
    this.mode = mode;
    this.#policy += 1;
  }

  get hasRoom(): boolean {
    return this.#waiting < MAX_WAITING;
  }

  get isBusy(): boolean {
    return this.#jobs.size > 0;
  }

  examine(access: Access, look: Look, info: DeviceInfo, now: number): void {
    const { own, known, answers } = this.#parts;
    const { slot, status, words } = look;
    if (own.isOwnThread(access.id)) {
      answers.allow(access);
      return;
    }
    if (own.isOwnFile(stateText(words))) {
      if (slot !== NO_SLOT) known.table.done[slot] = -1;
      answers.allow(access);
      return;
    }
    const device = deviceKey(words);
    if (this.#isSilent(device, now)) {
      this.#refuseLate(access, status);
      return;
    }
    this.#setWaiting(1);
    const running = slot === NO_SLOT ? undefined : this.#jobOfSlot.get(slot);
    if (running !== undefined) {
      running.accesses.push(access);
      return;
    }
    const isUnwritten = look.lease === 'held';
    this.#examine(access, { slot, size: status.size, owner: status.uid, info, device, isUnwritten }, now);
  }

  #examine(
    access: Access,
    file: Pick<ExamineJob, 'slot' | 'size' | 'owner' | 'info' | 'device' | 'isUnwritten'>,
    now: number,
  ): void {
    this.#begin({ kind: 'examine', fd: access.fd, accesses: [access], ...file, ...this.#ticket(now) }, now);
  }

  /** Makes the label that of the content. @param fd taken over */
  relabel(slot: number, fd: number, look: Look, now: number): void {
    const { size, uid: owner } = look.status;
    const labelling = { slot, fd, size, owner, device: deviceKey(look.words) };
    if (this.#jobOfSlot.has(slot)) this.#postpone(labelling);
    else this.#beginRelabel(labelling, now);
  }

  #beginRelabel(labelling: Labelling, now: number): void {
    this.#begin({ kind: 'relabel', accesses: [], ...labelling, ...this.#ticket(now) }, now);
  }

  /** Whoever reads the file now began before it was whole. */
  #postpone(labelling: Labelling): void {
    const before = this.#postponed.get(labelling.slot);
    if (before !== undefined) closeFile(before.fd);
    this.#postponed.set(labelling.slot, labelling);
  }

  /** @returns whether the file is labelled first: what was found of it is of no use then */
  #labelFirst(job: ExamineJob | RelabelJob, now: number): boolean {
    const postponed = this.#postponed.get(job.slot);
    if (postponed === undefined) return false;
    this.#postponed.delete(job.slot);
    this.#beginRelabel(postponed, now);
    for (const access of job.accesses) this.#parts.again(access, now);
    return true;
  }

  /** The file system was not met before: others look what it is, and the access is decided then. */
  describe(access: UnknownAccess, device: number, now: number): void {
    if (this.#isSilent(device, now)) {
      this.#refuseLate(access, undefined);
      return;
    }
    this.#setWaiting(1);
    const running = this.#describing.get(device);
    if (running !== undefined) {
      running.accesses.push(access);
      return;
    }
    this.#begin(
      { kind: 'describe', fd: access.fd, size: 0, owner: 0, device, accesses: [access], ...this.#ticket(now) },
      now,
    );
  }

  #ticket(now: number): { id: number; since: number; policy: number; stage: 'waiting' } {
    return { id: this.#nextJob++, since: now, policy: this.#policy, stage: 'waiting' };
  }

  #begin(job: Job, now: number): void {
    this.#jobs.set(job.id, job);
    if (job.kind === 'describe') this.#describing.set(job.device, job);
    else if (job.slot !== NO_SLOT) {
      this.#jobOfSlot.set(job.slot, job);
      this.#parts.known.table.set(job.slot, FLAG.held, true);
    }
    this.examiners.submit(job, now);
  }

  /** Nobody joins it any more. */
  #leave(job: Job): void {
    if (job.kind === 'describe') this.#describing.delete(job.device);
    else if (job.slot !== NO_SLOT) {
      this.#jobOfSlot.delete(job.slot);
      this.#parts.known.table.set(job.slot, FLAG.held, false);
    }
    this.#setWaiting(-job.accesses.length);
  }

  #orderOf(job: Job): ExaminerOrder {
    const { id, fd } = job;
    if (job.kind === 'describe') return { kind: 'describe', job: id, fd };
    const limit = readingLimit(job);
    if (job.kind === 'relabel') return { kind: 'relabel', job: id, fd, limit };
    const [{ plan, isExec, kind, place }] = job.accesses;
    const { table } = this.#parts.known;
    const isApproved = table.has(job.slot, FLAG.keepsLabel);
    // Who waits until a writer is gone finds what that one has written.
    const isKnown = job.slot !== NO_SLOT && job.policy === this.#policy && (job.isUnwritten || !isExec);
    const done = isKnown ? (table.done[job.slot] ?? 0) : 0;
    // What an approved writer writes is not appraised before it is whole.
    const tasks = plan.tasks.filter(
      ({ bit, task }) => (bit & done) === 0 && !(isApproved && !isExec && task.kind === 'appraise'),
    );
    const { isUnverifiable } = job.info;
    const isViolationTold = table.has(job.slot, FLAG.violationTold);
    const expected = isApproved && !isExec ? undefined : place?.expected;
    const asked = { isExec, isWriting: isWriting(kind), isUnverifiable, isViolationTold, expected };
    return { kind: 'examine', job: id, fd, limit, tasks, ...asked };
  }

  takeResults(now: number): void {
    this.examiners.takeResults(now, (job, result) => this.#take(job, result, now));
  }

  #take(job: Job, result: ExaminerResult, now: number): void {
    if (job.stage === 'given-up') {
      this.#silentUntil.delete(job.device);
      this.#jobs.delete(job.id);
      closeFile(job.fd);
    } else if (result.kind === 'abandoned') this.#abandoned(job, now);
    else if (result.kind === 'grown') {
      job.size = result.size;
      job.stage = 'waiting';
      this.examiners.submit(job, now);
    } else if (job.kind === 'examine' && result.kind === 'examined') this.#examined(job, result, now);
    else if (job.kind === 'relabel' && result.kind === 'relabelled') this.#relabelled(job, result.isChanged, now);
    else if (job.kind === 'describe' && result.kind === 'described') {
      this.#parts.known.devices.set(job.device, result.info);
      this.#leave(job);
      this.#jobs.delete(job.id);
      for (const access of job.accesses) this.#parts.again(access, now);
    }
  }

  /** Labels follow, and file systems are looked at, whoever asked first. */
  #isWanted(job: Job): boolean {
    const { requesters } = this.#parts;
    return job.kind !== 'examine' || job.accesses.some(({ id }) => requesters.isThere(id));
  }

  /** All who waited are gone. */
  #drop(job: Job): void {
    this.#leave(job);
    this.#jobs.delete(job.id);
    for (const access of job.accesses) this.#parts.answers.drop(access);
  }

  /** Somebody may have come meanwhile. */
  #abandoned(job: Job, now: number): void {
    this.#leave(job);
    this.#jobs.delete(job.id);
    if (job.kind !== 'describe' && this.#labelFirst(job, now)) return;
    const { again, answers, requesters } = this.#parts;
    for (const access of job.accesses) {
      if (requesters.isThere(access.id)) again(access, now);
      else answers.drop(access);
    }
  }

  #examined(job: ExamineJob, result: ExamineResult, now: number): void {
    this.#parts.counters.add('examined');
    if (result.measurements.length === 0) {
      this.#decide(job, result, 0, now);
      return;
    }
    job.stage = 'measuring';
    job.result = result;
    this.#parts.report({ kind: 'measure', job: job.id, measurements: result.measurements });
  }

  measured(id: number, isDone: boolean, now: number): void {
    const job = this.#jobs.get(id);
    if (job?.kind !== 'examine' || job.stage !== 'measuring' || job.result === undefined) return;
    const bits = isDone ? job.result.measurements.reduce((all, { bit }) => all | bit, 0) : 0;
    this.#decide(job, job.result, bits, now);
  }

  /** @param measured bits of what is in the list now */
  #decide(job: ExamineJob, found: ExamineResult, measured: number, now: number): void {
    const { known, report, answers } = this.#parts;
    const result = { ...found, good: found.good | measured };
    this.#leave(job);
    this.#jobs.delete(job.id);
    if (this.#labelFirst(job, now)) return;
    const [first, ...others] = job.accesses;
    if (job.policy === this.#policy) known.keep(job.slot, result, job.info, first.place);
    const status = statusOf(result.status);
    if (result.digest !== undefined) {
      const file = pathOfOpen(first.fd, status);
      report({ kind: 'file-hash', task: answers.taskOf(first.id), file, digest: result.digest });
    }
    // A measurement that could not be put into the list holds nobody up, as in the kernel.
    const settled = result.good | result.bad | result.measurements.reduce((all, { bit }) => all | bit, 0);
    this.#answer(first, job.slot, result, status, result.isLeased, now);
    for (const access of others) {
      // Those that came under another policy have plans of that one.
      const isSame = job.policy === this.#policy && access.place === first.place;
      const isCovered = isSame && result.isStable && (access.plan.needs & ~settled) === 0;
      if (isCovered) this.#answer(access, job.slot, result, status, false, now);
      else this.#parts.again(access, now);
    }
  }

  #answer(
    access: Access,
    slot: number,
    result: ExamineResult,
    status: FileStatus,
    isLeased: boolean,
    now: number,
  ): void {
    const { answers, grant } = this.#parts;
    if (access.isExec && result.hasWriters) {
      answers.refuse(access, status, WRITERS, this.mode);
      return;
    }
    const ofLabel = result.faults.find(({ bit }) => (bit & access.plan.appraises) !== 0)?.fault;
    const fault = ofLabel ?? (result.place === 'good' ? undefined : result.place);
    if (fault !== undefined) {
      answers.refuse(access, status, fault, this.mode);
      return;
    }
    grant(access, { slot, status, isLeased, isSigned: result.isSigned }, now);
  }

  #relabelled(job: RelabelJob, isChanged: boolean, now: number): void {
    if (isChanged) this.#parts.counters.add('relabelled');
    const { table } = this.#parts.known;
    if (!this.#postponed.has(job.slot)) table.set(job.slot, FLAG.keepsLabel | FLAG.followsContent, false);
    table.forget(job.slot);
    this.#leave(job);
    this.#jobs.delete(job.id);
    closeFile(job.fd);
    if (this.#labelFirst(job, now)) return;
    for (const access of job.accesses) this.#parts.again(access, now);
  }

  /** What has waited too long is answered. */
  lookAfter(now: number): void {
    const { patienceMs } = this.#parts;
    if (now - this.#lookedForOthers > UNWANTED_MS) {
      this.examiners.abandonUnwanted();
      this.#lookedForOthers = now;
    }
    for (const job of this.examiners.giveUp(now, patienceMs)) this.#giveUp(job, now);
    for (const job of this.#jobs.values()) {
      if (job.kind === 'examine' && job.stage === 'measuring' && now - job.since > patienceMs) {
        this.measured(job.id, false, now);
      }
    }
  }

  #giveUp(job: Job, now: number): void {
    const { report } = this.#parts;
    this.#silentUntil.set(job.device, now + SILENT_MS);
    report({ kind: 'stuck', path: pathOfOpen(job.fd, undefined) });
    this.#leave(job);
    const isBeingRead = job.stage === 'reading';
    job.stage = 'given-up';
    for (const access of job.accesses) this.#refuseLate(access, undefined, isBeingRead && access.fd === job.fd);
    if (!isBeingRead) {
      this.#jobs.delete(job.id);
      if (job.kind === 'relabel') closeFile(job.fd);
    }
  }

  #isSilent(device: number, now: number): boolean {
    const until = this.#silentUntil.get(device);
    if (until === undefined || now < until) return until !== undefined;
    this.#silentUntil.delete(device);
    return false;
  }

  #refuseLate(access: UnknownAccess, status: FileStatus | undefined, keepsOpen = false): void {
    const { answers, counters, patienceMs } = this.#parts;
    counters.add('timedOut');
    const found = `no content within ${patienceMs / 1000} s`;
    answers.refuse(access, status, { op: 'collect_data', cause: 'failed', found }, this.mode, keepsOpen);
  }

  /** For an end: nobody is left waiting. */
  answerAll(isAllowed: boolean): void {
    for (const job of this.#jobs.values()) {
      if (job.stage === 'given-up') continue;
      for (const access of job.accesses) this.#parts.answers.answer(access.fd, isAllowed);
    }
    this.#jobs.clear();
  }

  #setWaiting(change: number): void {
    this.#waiting += change;
    this.#parts.counters.set('waiting', this.#waiting);
  }
}
