/** Answers accesses that wait, and tells of those that are refused. */
import type { FileStatus, PermissionEvents } from '../../sys/index.ts';
import type { Counters } from '../counters.ts';
import type { DeciderReport, GuardFault } from '../messages.ts';
import type { GuardMode } from '../mode.ts';
import { pathOfOpen } from '../open-path.ts';
import type { ExecLeases } from './exec-leases.ts';
import { deviceKey, type FileTable, NO_SLOT, wordsOf } from './file-table.ts';
import type { UnknownAccess } from './jobs.ts';
import type { Requesters, RequestingTask } from './requester.ts';

export class Answers {
  readonly #events: PermissionEvents;
  readonly #counters: Counters;
  readonly #requesters: Requesters;
  readonly #table: FileTable;
  readonly #leases: ExecLeases;
  readonly #report: (report: DeciderReport) => void;
  /** How descriptors are closed: what closing one waits for is for others to wait for. */
  readonly #close: (fd: number) => void;

  constructor(parts: {
    readonly events: PermissionEvents;
    readonly counters: Counters;
    readonly requesters: Requesters;
    readonly table: FileTable;
    readonly leases: ExecLeases;
    readonly report: (report: DeciderReport) => void;
    readonly close: (fd: number) => void;
  }) {
    this.#events = parts.events;
    this.#counters = parts.counters;
    this.#requesters = parts.requesters;
    this.#table = parts.table;
    this.#leases = parts.leases;
    this.#report = parts.report;
    this.#close = parts.close;
  }

  /** The descriptor is left open. */
  answer(fd: number, isAllowed: boolean): void {
    this.#events.answer(fd, isAllowed);
  }

  allow({ fd }: UnknownAccess): void {
    this.#events.answer(fd, true);
    this.#close(fd);
  }

  /** Of who is gone. */
  drop({ fd }: UnknownAccess): void {
    this.#events.answer(fd, false);
    this.#close(fd);
  }

  /**
   * Nobody writes to the file before the kernel itself keeps writers out.
   * @param isLeased the lease is on the access's own descriptor; else on the file's record, or there is none
   */
  allowExecution({ fd, id }: UnknownAccess, slot: number, isLeased: boolean, now: number): void {
    const held = slot === NO_SLOT ? -1 : (this.#table.lease[slot] ?? -1);
    const takesOver = isLeased && slot !== NO_SLOT && held < 0;
    if (takesOver) this.#leases.hold(slot, fd);
    if (takesOver || held >= 0) this.#leases.allowed(slot, id, now);
    else this.#counters.add('unprotected');
    this.#events.answer(fd, true);
    if (!takesOver) this.#close(fd);
  }

  /**
   * Refuses in enforcing mode, allows in every other, and tells of it.
   * @param keepsOpen somebody still reads the descriptor
   */
  refuse(
    access: UnknownAccess,
    status: FileStatus | undefined,
    fault: GuardFault,
    mode: GuardMode,
    keepsOpen = false,
  ): void {
    const isDenied = mode === 'enforce';
    // Before the answer: who waits is still there to be looked at.
    const report = this.#finding(access, status, fault, isDenied);
    this.#events.answer(access.fd, !isDenied);
    if (isDenied) this.#counters.add('denied');
    if (!keepsOpen) this.#close(access.fd);
    this.#report(report);
  }

  #finding(
    { fd, id, isExec }: UnknownAccess,
    status: FileStatus | undefined,
    fault: GuardFault,
    isDenied: boolean,
  ): DeciderReport {
    return {
      kind: 'finding',
      isDenied,
      access: isExec ? 'execute' : 'open',
      path: pathOfOpen(fd, status),
      inode: status?.ino ?? 0n,
      device: status === undefined ? 0 : deviceKey(wordsOf(status)),
      task: this.#requesters.task(id),
      fault,
    };
  }

  /** Who waits, as audit records have it. */
  taskOf(id: number): RequestingTask | undefined {
    return this.#requesters.task(id);
  }
}
