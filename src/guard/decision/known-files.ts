/** What is known of files, and of the file systems that they are on. */
import type { DeviceInfo, ExamineResult, GuardFault } from '../messages.ts';
import { changedMs, FileTable, FLAG, NO_SLOT } from './file-table.ts';
import type { Place } from './places.ts';
import type { Plan } from './plans.ts';

/** What is known of a file: nothing against it, or what. */
export type Verdict = 'good' | GuardFault;

/** The kernel's clock for times of files ticks every 1 to 10 ms (CONFIG_HZ). */
const SETTLED_MS = 20;

/** Faults that are remembered, to be told again. */
const MAX_FAULTS = 4096;

export class KnownFiles {
  readonly table: FileTable = new FileTable();
  readonly devices: Map<number, DeviceInfo> = new Map();
  readonly #faults = new Map<number, GuardFault>();

  /** `undefined` where the file has to be read; a fault where it is known to be bad. */
  verdict(slot: number, plan: Plan, place: Place | undefined): Verdict | undefined {
    const label = this.#labelVerdict(slot, plan);
    if (label !== 'good' || place === undefined) return label;
    return place.verdict(this.table.content[slot] ?? 0, this.table.has(slot, FLAG.signed));
  }

  #labelVerdict(slot: number, { needs, appraises }: Plan): Verdict | undefined {
    if (slot === NO_SLOT) return undefined;
    const done = this.table.done[slot] ?? 0;
    if ((needs & ~done) === 0) return 'good';
    const bad = this.table.bad[slot] ?? 0;
    if ((appraises & bad) === 0 || (needs & ~(done | bad)) !== 0) return undefined;
    return this.#faults.get(slot);
  }

  /** Keeps what was found, where it will hold: see `Decider`. */
  keep(slot: number, result: ExamineResult, info: DeviceInfo, place: Place | undefined): void {
    const { table } = this;
    if (slot === NO_SLOT || !result.isStable || !info.tellsChanges || !table.holds(slot, result.status)) return;
    if (Date.now() - changedMs(result.status) < SETTLED_MS) return;
    table.done[slot] = (table.done[slot] ?? 0) | result.good;
    table.bad[slot] = (table.bad[slot] ?? 0) | result.bad;
    table.set(slot, FLAG.signed, result.isSigned);
    if (result.place !== undefined && place !== undefined) {
      table.content[slot] = result.place === 'good' ? place.id : -place.id;
    }
    const [fault] = result.faults;
    if (fault === undefined) return;
    if (this.#faults.size >= MAX_FAULTS) this.#faults.clear();
    this.#faults.set(slot, fault.fault);
  }

  forgetAll(what: { readonly plans: boolean }): void {
    this.table.forgetAll(what);
    this.#faults.clear();
  }
}
