/**
 * Between the answer to an execution and the moment when the kernel itself refuses writers (exec.c:do_open_execat,
 * deny_write_access) the program could be rewritten. A lease that is held until then keeps writers out: their open waits.
 */
import type { FileStatus } from '../../sys/index.ts';
import { closeFile, holdsReadLease } from '../../sys/index.ts';
import { type FileTable, wordsOf } from './file-table.ts';
import type { Requesters } from './requester.ts';

/** Executions that are not known to have passed. Beyond it the oldest is let go. */
const MAX_UNPROVEN = 16_384;
/** How long a lease outlives its last execution: the next one then needs none of its own. */
const KEEP_MS = 100;
/**
 * An execution that takes longer than this while a writer waits is ended: whoever starves a thread of their own of the
 * processor (SCHED_IDLE beside busy ones) would hold it there until the kernel takes the lease away (lease-break-time, 45 s).
 */
const LONGEST_MS = 5000;
const NOT_LOOKED_AT = -1;

export class ExecLeases {
  readonly #table: FileTable;
  readonly #requesters: Requesters;
  readonly #slots: number[] = [];
  readonly #lastUse = new Map<number, number>();
  readonly #unprovenSlots = new Int32Array(MAX_UNPROVEN);
  readonly #unprovenIds = new Int32Array(MAX_UNPROVEN);
  readonly #unprovenSince = new Float64Array(MAX_UNPROVEN);
  /** User time of the thread when it was first looked after. */
  readonly #unprovenTicks = new Float64Array(MAX_UNPROVEN);
  #unproven = 0;
  readonly #end: (id: number) => void;

  /** @param end ends a thread's process that was allowed to execute, and may not any more */
  constructor(table: FileTable, requesters: Requesters, end: (id: number) => void) {
    this.#table = table;
    this.#requesters = requesters;
    this.#end = end;
  }

  get isEmpty(): boolean {
    return this.#slots.length === 0;
  }

  /** Takes over the descriptor, on which a lease is held. */
  hold(slot: number, fd: number): void {
    this.#table.lease[slot] = fd;
    this.#slots.push(slot);
  }

  /** The thread was allowed to execute a file on which a lease is held. */
  allowed(slot: number, id: number, now: number): void {
    if (this.#unproven === MAX_UNPROVEN) this.#dropOldest();
    this.#unprovenSlots[this.#unproven] = slot;
    this.#unprovenIds[this.#unproven] = id;
    this.#unprovenSince[this.#unproven] = now;
    this.#unprovenTicks[this.#unproven] = NOT_LOOKED_AT;
    this.#unproven += 1;
    this.#lastUse.set(slot, now);
  }

  /** Lets go of what is not needed any more, and at once of what a writer waits for. */
  sweep(now: number): void {
    this.#dropPassed(now);
    let kept = 0;
    for (const slot of this.#slots) {
      const fd = this.#table.lease[slot] ?? -1;
      const isIdle = now - (this.#lastUse.get(slot) ?? 0) > KEEP_MS;
      if ((!isIdle && holdsReadLease(fd)) || this.#isOnItsWay(slot)) this.#slots[kept++] = slot;
      else this.#release(slot);
    }
    this.#slots.length = kept;
  }

  releaseAll(): void {
    for (const slot of this.#slots) this.#release(slot);
    this.#slots.length = 0;
    this.#unproven = 0;
  }

  #release(slot: number): void {
    closeFile(this.#table.lease[slot] ?? -1);
    this.#table.lease[slot] = -1;
    this.#lastUse.delete(slot);
  }

  /** Somebody may still be on their way into the file. */
  #isOnItsWay(slot: number): boolean {
    for (let index = 0; index < this.#unproven; index++) {
      if (this.#unprovenSlots[index] === slot && this.#mayBeOnItsWay(slot, this.#unprovenIds[index] ?? 0)) return true;
    }
    return false;
  }

  /**
   * Forgets executions that have passed, of those that a lease was held for as long as it is kept anyway: to look after them
   * sooner costs most where programs are short, and by then those have ended.
   */
  #dropPassed(now: number): void {
    let kept = 0;
    let index = 0;
    for (; index < this.#unproven; index++) {
      const age = now - (this.#unprovenSince[index] ?? 0);
      if (age <= KEEP_MS) break;
      const slot = this.#unprovenSlots[index] ?? 0;
      const id = this.#unprovenIds[index] ?? 0;
      if (!this.#mayBeOnItsWay(slot, id) || this.#hasReturned(index, id)) continue;
      if (age > LONGEST_MS && !holdsReadLease(this.#table.lease[slot] ?? -1)) {
        this.#end(id);
        continue;
      }
      this.#unprovenSlots[kept] = slot;
      this.#unprovenIds[kept] = id;
      this.#unprovenTicks[kept] = this.#unprovenTicks[index] ?? NOT_LOOKED_AT;
      this.#unprovenSince[kept++] = now - age;
    }
    this.#remove(kept, index);
  }

  #mayBeOnItsWay(slot: number, id: number): boolean {
    const program: FileStatus | undefined = this.#requesters.program(id);
    if (program === undefined || this.#table.find(wordsOf(program)) === slot) return false;
    return this.#requesters.isExecuting(id);
  }

  /** A thread that got user time since it was allowed to execute is not in that call any more, done or failed. */
  #hasReturned(index: number, id: number): boolean {
    const ticks = this.#requesters.userTicks(id);
    if (ticks === undefined) return true;
    const before = this.#unprovenTicks[index] ?? NOT_LOOKED_AT;
    if (before === NOT_LOOKED_AT) this.#unprovenTicks[index] = ticks;
    return before !== NOT_LOOKED_AT && ticks > before;
  }

  #dropOldest(): void {
    const [slot = 0, id = 0] = [this.#unprovenSlots[0], this.#unprovenIds[0]];
    if (this.#mayBeOnItsWay(slot, id)) this.#end(id);
    this.#remove(0, 1);
  }

  /** Takes the executions from one place up to another one out. */
  #remove(from: number, to: number): void {
    if (from === to) return;
    for (const list of [this.#unprovenSlots, this.#unprovenIds, this.#unprovenSince, this.#unprovenTicks]) {
      list.copyWithin(from, to, this.#unproven);
    }
    this.#unproven -= to - from;
  }
}
