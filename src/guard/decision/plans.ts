/** What the policy wants done with an access, as bits that a file's record can be compared with. */
import type { AppraiseType } from '../../ima/index.ts';
import {
  type CompiledPolicy,
  type CompileOptions,
  compilePolicy,
  type Decision,
  decideAccess,
  MAY,
  type PlacedRule,
  type PolicyAccess,
} from '../../ima/policy/index.ts';

/** Kinds of access, by their place in `FileTable.plans`: an execution, and what an open asks for. */
export const ACCESS = { exec: 0, read: 1, write: 2, readWrite: 3, append: 4, readAppend: 5 } as const;
export type AccessKind = (typeof ACCESS)[keyof typeof ACCESS];

const MASK_OF: Readonly<Record<AccessKind, number>> = {
  [ACCESS.exec]: MAY.MAY_EXEC,
  [ACCESS.read]: MAY.MAY_READ,
  [ACCESS.write]: MAY.MAY_WRITE,
  [ACCESS.readWrite]: MAY.MAY_READ | MAY.MAY_WRITE,
  [ACCESS.append]: MAY.MAY_WRITE | MAY.MAY_APPEND,
  [ACCESS.readAppend]: MAY.MAY_READ | MAY.MAY_WRITE | MAY.MAY_APPEND,
};

export const isWriting = (kind: AccessKind): boolean => (MASK_OF[kind] & MAY.MAY_WRITE) !== 0;

/** A rule may be about any of them alone. */
export const WRITING_KINDS: readonly AccessKind[] = Object.values(ACCESS).filter(isWriting);

/** PCR of a measurement whose rule names none (CONFIG_IMA_MEASURE_PCR_IDX). */
const IMA_PCR = 10;

/** Something to be found out or done once for each state of a file. */
export type FileTask =
  | {
      readonly kind: 'appraise';
      readonly type: AppraiseType;
      /** Hash algorithms that the label may have; undefined: all. */
      readonly algorithms: readonly string[] | undefined;
      /** What a file system cannot vouch for fails. */
      readonly failUnverifiable: boolean;
    }
  | {
      readonly kind: 'measure';
      readonly pcr: number;
      /** Undefined: the default. */
      readonly template: string | undefined;
      readonly verity: boolean;
    }
  | { readonly kind: 'audit' };

export interface PlannedTask {
  readonly bit: number;
  readonly task: FileTask;
}

export interface Plan {
  /** From 1: 0 stands for "not asked yet". */
  readonly id: number;
  readonly tasks: readonly PlannedTask[];
  /** Their bits. */
  readonly needs: number;
  /** Those of `needs` that appraise. */
  readonly appraises: number;
  /** A rule `hash` matched: the label follows the content. */
  readonly hashes: boolean;
}

/** Bits that an Int32 has beside its sign, which stands for tasks that no bit is left for: they are never done. */
const MAX_TASKS = 31;
const NEVER_DONE = 1 << MAX_TASKS;
/** An id has a byte, and 0 is taken: what no id is left for is planned anew each time. */
const MAX_PLANS = 255;

export class Plans {
  readonly #compiled: CompiledPolicy;
  readonly #bits = new Map<string, number>();
  readonly #plans: Plan[] = [];
  readonly #ids = new Map<string, Plan>();

  constructor(rules: readonly PlacedRule[], options: CompileOptions) {
    this.#compiled = compilePolicy(rules, options);
  }

  /** @returns undefined for 0 */
  byId(id: number): Plan | undefined {
    return this.#plans[id - 1];
  }

  /**
   * @param about everything but function and mask
   * @param setuidOwner who the program will run as, where it is one that changes that
   */
  plan(kind: AccessKind, about: Omit<PolicyAccess, 'func' | 'mask'>, setuidOwner?: number): Plan {
    const mask = MASK_OF[kind];
    const tasks = new Map<string, FileTask>();
    const file = this.#decide({ ...about, func: 'FILE_CHECK', mask }, tasks);
    if (kind !== ACCESS.exec) return this.#intern(tasks, file.hash);
    const bprm = this.#decide({ ...about, func: 'BPRM_CHECK', mask }, tasks);
    const euid = setuidOwner === undefined ? {} : { euid: setuidOwner, suid: setuidOwner };
    const creds = this.#decide({ ...about, ...euid, func: 'CREDS_CHECK', mask }, tasks);
    return this.#intern(tasks, file.hash || bprm.hash || creds.hash);
  }

  #decide(access: PolicyAccess, tasks: Map<string, FileTask>): Decision {
    const decision = decideAccess(this.#compiled, access);
    const { measure, appraise, audit, appraiseType: type, appraiseAlgos: algorithms, failUnverifiable } = decision;
    if (appraise) add(tasks, { kind: 'appraise', type, algorithms, failUnverifiable });
    if (measure) {
      const { pcr = IMA_PCR, template, verity } = decision;
      // Once for each PCR (ima_api.c:ima_store_measurement, measured_pcrs).
      const isThere = [...tasks.values()].some((task) => task.kind === 'measure' && task.pcr === pcr);
      if (!isThere) add(tasks, { kind: 'measure', pcr, template, verity });
    }
    if (audit) add(tasks, { kind: 'audit' });
    return decision;
  }

  #intern(wanted: ReadonlyMap<string, FileTask>, hashes: boolean): Plan {
    const key = [hashes, ...[...wanted.keys()].sort()].join('\n');
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const tasks = [...wanted].map(([name, task]) => ({ bit: this.#bit(name), task }));
    const needs = tasks.reduce((all, { bit }) => all | bit, 0);
    const appraises = tasks.reduce((all, { bit, task }) => (task.kind === 'appraise' ? all | bit : all), 0);
    const id = this.#plans.length < MAX_PLANS ? this.#plans.length + 1 : 0;
    const plan = { id, tasks, needs, appraises, hashes };
    if (id !== 0) {
      this.#plans.push(plan);
      this.#ids.set(key, plan);
    }
    return plan;
  }

  #bit(name: string): number {
    const known = this.#bits.get(name);
    if (known !== undefined) return known;
    const bit = this.#bits.size < MAX_TASKS ? 1 << this.#bits.size : NEVER_DONE;
    this.#bits.set(name, bit);
    return bit;
  }
}

function add(tasks: Map<string, FileTask>, task: FileTask): void {
  tasks.set(JSON.stringify(task), task);
}
