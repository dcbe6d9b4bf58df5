/**
 * Decides about accesses that wait. Nothing here may wait for anything but the kernel's own answer: no file of a watched
 * file system is opened, nothing is written to a log, no other thread is waited for. What takes time (hashing, a
 * signature, the measurement list) others do, while this thread goes on with what is known.
 *
 * What was found of a file is kept in the `FileTable` and holds while all of these do:
 * - its status (size, times, which any write, chmod or setxattr moves) is the same;
 * - nobody had it open for writing while it was read, nor has now: a read lease was given (`takeReadLease`). So no store
 *   through a shared mapping, which may move no time, can have come in between;
 * - no writer of it has closed since, which the kernel tells before it counts the writer off (`CloseEvents`);
 * - its last change was not within a tick of the clock when it was looked at (`KnownFiles.keep`): a change right after
 *   would leave the same times.
 */
import {
  type CloseEvents,
  closeFile,
  EVENTS_A_READ,
  type FileStatus,
  holdsReadLease,
  type PermissionEvents,
  SysError,
  takeReadLease,
} from '../../sys/index.ts';
import type { Counters } from '../counters.ts';
import type { DeciderReport, DeviceInfo, GuardFault } from '../messages.ts';
import type { AccessRules } from './access-rules.ts';
import { Answers } from './answers.ts';
import { ExecLeases } from './exec-leases.ts';
import { deviceKey, FLAG, isImmutable, NO_SLOT, PLAN_KINDS } from './file-table.ts';
import type { Access, UnknownAccess } from './jobs.ts';
import { KnownFiles } from './known-files.ts';
import { type Look, newLook } from './look.ts';
import type { OwnFiles } from './own-files.ts';
import { ACCESS, type AccessKind, isWriting, type Plan, WRITING_KINDS } from './plans.ts';
import type { Requesters } from './requester.ts';
import { type Granted, SlowPath } from './slow-path.ts';

/** Threads between the two events of one execution. */
const MAX_BETWEEN = 4096;

export interface DeciderParts {
  readonly events: PermissionEvents;
  readonly closed: CloseEvents;
  readonly counters: Counters;
  readonly requesters: Requesters;
  readonly own: OwnFiles;
  readonly patienceMs: number;
  /** Closing a descriptor, too, may wait for whoever serves the file system. */
  readonly isRemote: boolean;
  readonly report: (report: DeciderReport) => void;
}

const SIGNED: GuardFault = {
  op: 'appraise_data',
  cause: 'signed-file-write',
  expected: 'no write to a file whose label is a signature',
  found: 'an open for writing',
};

const NO_STATUS: GuardFault = { op: 'collect_data', cause: 'failed', found: 'a file that does not say what it is' };

export class Decider {
  readonly #parts: DeciderParts;
  readonly #known = new KnownFiles();
  readonly #leases: ExecLeases;
  readonly #answers: Answers;
  readonly #looks: readonly Look[] = Array.from({ length: EVENTS_A_READ }, newLook);
  readonly #closedLook = newLook();
  /** Thread → file whose execution was allowed, and whose open the kernel asks for next. */
  readonly #between = new Map<number, number>();
  readonly slow: SlowPath;
  #rules: AccessRules | undefined;

  constructor(parts: DeciderParts) {
    this.#parts = parts;
    const { table } = this.#known;
    this.#leases = new ExecLeases(table, parts.requesters, (id) => this.#endExecution(id));
    const close = (fd: number): void => (parts.isRemote ? this.slow.examiners.closeElsewhere(fd) : closeFile(fd));
    this.#answers = new Answers({ ...parts, table, leases: this.#leases, close });
    this.slow = new SlowPath({
      ...parts,
      known: this.#known,
      answers: this.#answers,
      again: (access, now) => this.#decideAgain(access, now),
      grant: (access, granted, now) => this.#grant(access, granted, now),
    });
  }

  /** From now on decided by these; what waits is answered by those that it was asked under. */
  setRules(rules: AccessRules): void {
    this.#rules = rules;
    this.slow.setPolicy(rules.mode);
    this.#known.forgetAll({ plans: true });
    this.ignoreNothing();
  }

  setDevice(key: number, info: DeviceInfo): void {
    this.#known.devices.set(key, info);
  }

  /** What was known of file systems may be otherwise now: mounted anew, or writable. */
  forgetDevices(): void {
    this.#known.devices.clear();
    this.ignoreNothing();
  }

  /** What is allowed unasked is asked for again. */
  ignoreNothing(): void {
    const { flags } = this.#known.table;
    for (let slot = 0; slot < flags.length; slot++) flags[slot] = (flags[slot] ?? 0) & ~FLAG.ignored;
    this.#parts.events.ignoreNothing();
  }

  /** Labels follow what is written: news of closed files do not wait. */
  get followsContent(): boolean {
    return this.#rules?.coverage.kinds.includes('open') === true;
  }

  /** Something is to be looked after soon, even where nothing comes. */
  get isBusy(): boolean {
    return this.slow.isBusy || !this.#leases.isEmpty;
  }

  /**
   * SIGKILL, to which no program's first instruction is run any more. Other modes promise nothing of what is executed.
   * @param id of a thread: the kernel finds its process
   */
  #endExecution(id: number): void {
    if (this.#rules?.mode !== 'enforce' || id <= 1) return;
    try {
      process.kill(id, 'SIGKILL');
      this.#parts.counters.add('ended');
    } catch {
      // It is gone.
    }
  }

  /** What has to be done every now and then. */
  lookAfter(now: number): void {
    this.takeClosed(now);
    this.#leases.sweep(now);
    this.slow.lookAfter(now);
  }

  releaseAll(): void {
    this.slow.answerAll(true);
    this.#leases.releaseAll();
  }

  /** Takes the events that wait and decides what can be decided. @returns whether there were any */
  takeEvents(now: number): boolean {
    const { events } = this.#parts;
    const count = events.read();
    let hasLeases = false;
    for (let index = 0; index < count; index++) {
      const look = this.#looks[index];
      const fd = events.events.fd(index);
      if (look === undefined || fd < 0) continue;
      if (this.#look(look, { fd, id: events.events.id(index), isExec: events.isExec(index) })) hasLeases = true;
    }
    // After the leases were given: whoever wrote before is told of by now.
    if (hasLeases) this.takeClosed(now);
    for (let index = 0; index < count; index++) {
      const look = this.#looks[index];
      const fd = events.events.fd(index);
      const isExec = events.isExec(index);
      this.#parts.counters.add(isExec ? 'executions' : 'opens');
      if (look !== undefined) this.#decide(look, fd, events.events.id(index), isExec, now);
    }
    return count > 0;
  }

  /** Learns what the access is about. @returns whether a lease was asked for: one from before has kept writers out since */
  #look(look: Look, access: UnknownAccess): boolean {
    look.slot = NO_SLOT;
    look.plan = undefined;
    look.device = undefined;
    look.lease = undefined;
    const rules = this.#rules;
    if (rules === undefined || !isStatusOf(look.status, access.fd)) return false;
    look.slot = this.#known.table.slotOf(look.words);
    look.device = this.#known.devices.get(deviceKey(look.words));
    look.plan = this.#planOf(rules, look, access, access.isExec ? ACCESS.exec : ACCESS.read);
    if (look.plan === undefined) return false;
    if (look.plan.needs === 0 && (access.isExec || !this.#wantsOfWriters(rules, look, access))) return false;
    if (access.isExec && this.#holdsLease(look.slot)) {
      look.lease = 'held';
      return false;
    }
    look.lease = takeReadLease(access.fd);
    return true;
  }

  #planOf(rules: AccessRules, look: Look, { fd, id }: UnknownAccess, kind: AccessKind): Plan | undefined {
    const { slot, device } = look;
    if (device === undefined) return undefined;
    const { plans } = this.#known.table;
    const at = slot * PLAN_KINDS + kind;
    const isKept = slot !== NO_SLOT && rules.isSameForAll;
    const known = isKept ? rules.plans.byId(plans[at] ?? 0) : undefined;
    if (known !== undefined) return known;
    const plan = rules.plan(kind, fd, look.status, device, id);
    if (isKept && plan !== undefined) plans[at] = plan.id;
    return plan;
  }

  #wantsOfWriters(rules: AccessRules, look: Look, access: UnknownAccess): boolean {
    for (const kind of WRITING_KINDS) {
      const plan = this.#planOf(rules, look, access, kind);
      if (plan === undefined || plan.needs !== 0 || plan.hashes) return true;
    }
    return false;
  }

  /**
   * For an execution. A lease from before does not tell of who is just opening the file to write: that one is asked about
   * before its open breaks leases (fs/open.c:do_dentry_open), so that an open is always tried with a new one.
   */
  #holdsLease(slot: number): boolean {
    const held = slot === NO_SLOT ? -1 : (this.#known.table.lease[slot] ?? -1);
    return held >= 0 && holdsReadLease(held);
  }

  #decide(look: Look, fd: number, id: number, isExec: boolean, now: number): void {
    const { counters, report } = this.#parts;
    if (fd < 0) {
      counters.add('unopenable');
      return;
    }
    try {
      this.#decideOne(look, { fd, id, isExec }, now);
    } catch (error) {
      // A fault of ours must not leave somebody waiting.
      this.#answers.answer(fd, this.#rules?.mode !== 'enforce');
      closeFile(fd);
      report({ kind: 'fault', message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  }

  #decideOne(look: Look, { fd, id, isExec }: UnknownAccess, now: number): void {
    const { plan, device, slot } = look;
    const rules = this.#rules;
    if (rules === undefined) {
      this.#answers.allow({ fd, id, isExec });
      return;
    }
    if (!isExec && this.#isSecondOfExecution(id, slot)) {
      this.#answers.allow({ fd, id, isExec });
      return;
    }
    if (device === undefined || plan === undefined) {
      this.#decideUnknown(look, { fd, id, isExec }, rules, now);
      return;
    }
    if (look.lease === undefined) {
      this.#answers.allow({ fd, id, isExec });
      return;
    }
    if (!isExec && look.lease !== 'held') {
      this.#decideBesideWriters(look, { fd, id, isExec }, rules, now);
      return;
    }
    const place = rules.place(plan, fd, look.status);
    const access = { fd, id, isExec, kind: isExec ? ACCESS.exec : ACCESS.read, plan, place };
    if (look.lease === 'held' && this.#decideByWhatIsKnown(look, access, rules, now)) return;
    this.slow.examine(access, look, device, now);
  }

  /** The kernel asks twice about an execution: as such and as an open, with nothing in between (fsnotify.h:fsnotify_open_perm). */
  #isSecondOfExecution(id: number, slot: number): boolean {
    if (this.#between.size === 0) return false;
    const expected = this.#between.get(id);
    if (expected === undefined) return false;
    this.#between.delete(id);
    return expected === slot && slot !== NO_SLOT;
  }

  #decideUnknown(look: Look, access: UnknownAccess, rules: AccessRules, now: number): void {
    if (look.slot === NO_SLOT && look.status.mode === 0) {
      this.#answers.refuse(access, undefined, NO_STATUS, rules.mode);
    } else if (this.#parts.own.isOwnThread(access.id)) {
      // Perhaps the very one that has to look at the file system, and is about to load what it runs.
      this.#answers.allow(access);
    } else if (look.device === undefined) {
      this.slow.describe(access, deviceKey(look.words), now);
    } else {
      // Who asked is gone, and with it the one who waits.
      this.#answers.answer(access.fd, false);
      closeFile(access.fd);
    }
  }

  /** Of a file that nobody writes to. @returns false where it has to be read */
  #decideByWhatIsKnown(look: Look, access: Access, rules: AccessRules, now: number): boolean {
    const verdict = this.#known.verdict(look.slot, access.plan, access.place);
    if (verdict === undefined) return false;
    this.#parts.counters.add('known');
    if (verdict !== 'good') {
      if (this.#parts.own.isOwnThread(access.id)) this.#answers.allow(access);
      else this.#answers.refuse(access, look.status, verdict, rules.mode);
      return true;
    }
    this.#ignoreFromNowOn(look, access, rules);
    if (!access.isExec) {
      this.#answers.allow(access);
      return true;
    }
    this.#allowExecution(access, look.slot, (this.#known.table.lease[look.slot] ?? -1) < 0, now);
    return true;
  }

  #grant(access: Access, { slot, status, isLeased, isSigned }: Granted, now: number): void {
    if (access.isExec) {
      // Whoever wrote before this lease is told of by now; after it nobody does, and the next execution need not ask.
      if (isLeased) this.takeClosed(now);
      this.#allowExecution(access, slot, isLeased, now);
    } else if (isWriting(access.kind)) this.#allowWriter(access, status, slot, isSigned);
    else this.#answers.allow(access);
  }

  #allowExecution(access: UnknownAccess, slot: number, isLeased: boolean, now: number): void {
    if (this.#rules?.coverage.kinds.includes('open') === true) {
      if (this.#between.size >= MAX_BETWEEN) this.#between.clear();
      this.#between.set(access.id, slot);
    }
    this.#answers.allowExecution(access, slot, isLeased, now);
  }

  /** An open where somebody, perhaps who asks, has the file open for writing, or where that cannot be told. */
  #decideBesideWriters(look: Look, { fd, id, isExec }: UnknownAccess, rules: AccessRules, now: number): void {
    const { device, slot } = look;
    if (device === undefined) return;
    const kind = this.#parts.requesters.openKind(id) ?? ACCESS.readWrite;
    const plan = this.#planOf(rules, look, { fd, id, isExec }, kind);
    if (plan === undefined) {
      this.#decideUnknown(look, { fd, id, isExec }, rules, now);
      return;
    }
    const access = { fd, id, isExec, kind, plan, place: rules.place(plan, fd, look.status) };
    const { table } = this.#known;
    if (plan.needs === 0) {
      if (plan.hashes && isWriting(kind)) table.set(slot, FLAG.followsContent, true);
      this.#answers.allow(access);
      return;
    }
    const isApproved = table.has(slot, FLAG.keepsLabel);
    if (isApproved && plan.needs === plan.appraises) {
      this.#answers.allow(access);
      return;
    }
    if (!isApproved && this.#known.verdict(slot, plan, access.place) === 'good') {
      if (isWriting(kind)) {
        this.#allowWriter(access, look.status, slot, table.has(slot, FLAG.signed));
        return;
      }
      this.#answers.allow(access);
      return;
    }
    this.slow.examine(access, look, device, now);
  }

  #allowWriter(access: Access, status: FileStatus, slot: number, isSigned: boolean): void {
    if (access.plan.appraises === 0) {
      if (access.plan.hashes) this.#known.table.set(slot, FLAG.followsContent, true);
      this.#answers.allow(access);
      return;
    }
    if (isSigned) {
      this.#answers.refuse(access, status, SIGNED, this.#rules?.mode ?? 'log');
      return;
    }
    this.#known.table.set(slot, FLAG.keepsLabel, true);
    this.#answers.allow(access);
  }

  #decideAgain(access: UnknownAccess, now: number): void {
    const look = newLook();
    if (this.#look(look, access)) this.takeClosed(now);
    this.#decide(look, access.fd, access.id, access.isExec, now);
  }

  /** Where nothing can change unseen, the kernel need not ask again. */
  #ignoreFromNowOn(look: Look, { fd, place }: Access, rules: AccessRules): void {
    const { device, slot } = look;
    const { table } = this.#known;
    if (device === undefined || !rules.isSameForAll || table.has(slot, FLAG.ignored)) return;
    // An immutable file can still come to stand under another name, with a folder that is renamed.
    if (!device.isReadOnly && (place !== undefined || !isImmutable(look.words))) return;
    const isAllDone = [ACCESS.exec, ACCESS.read].every((kind) => {
      const plan = this.#planOf(rules, look, { fd, id: 0, isExec: kind === ACCESS.exec }, kind);
      return plan !== undefined && this.#known.verdict(slot, plan, place) === 'good';
    });
    if (!isAllDone) return;
    this.#parts.events.ignore(fd, rules.coverage.kinds);
    table.set(slot, FLAG.ignored, true);
    this.#parts.counters.add('ignored');
  }

  /** What was written and closed: nothing that was known of it holds, and its label follows where it is to. */
  takeClosed(now: number): void {
    const { closed, counters } = this.#parts;
    const look = this.#closedLook;
    for (let count = EVENTS_A_READ; count === EVENTS_A_READ; ) {
      count = closed.read();
      for (let index = 0; index < count; index++) {
        const fd = closed.events.fd(index);
        if (closed.events.isOverflow(index)) {
          counters.add('overflows');
          this.#known.forgetAll({ plans: false });
        } else if (fd >= 0 && !this.#takeClosedFile(look, fd, now)) closeFile(fd);
      }
    }
  }

  /** @returns whether the descriptor is still needed */
  #takeClosedFile(look: Look, fd: number, now: number): boolean {
    const { table } = this.#known;
    if (!isStatusOf(look.status, fd)) return false;
    const slot = table.find(look.words);
    if (slot === NO_SLOT) return false;
    table.forget(slot);
    const follows = table.has(slot, FLAG.keepsLabel | FLAG.followsContent);
    if (!follows || takeReadLease(fd) === 'writers') return false;
    this.slow.relabel(slot, fd, look, now);
    return true;
  }
}

/** False where the file does not say what it is; its status is empty then. */
function isStatusOf(status: FileStatus, fd: number): boolean {
  try {
    status.ofOpenAsKnown(fd);
    return true;
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    status.bytes.fill(0);
    return false;
  }
}
