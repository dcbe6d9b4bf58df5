/**
 * Which rule of a policy caused an entry of a measurement list. The list tells name, PCR and template; what was done with the
 * file, and by whom, it does not, so that the likeliest use comes first and the others that would do stand beside it.
 */

import { BOOT_AGGREGATE } from '../boot-aggregate.ts';
import type { MeasurementEntry } from '../entry.ts';
import type { PolicyAccess } from './access.ts';
import { type CompiledPolicy, type CompiledRule, isOfFunc } from './decide.ts';
import type { PlacedRule, PolicyFunc } from './rule.ts';
import { FILE_USES, type FileKind, type FileUse, hooksOf, isOfRoot, type UseName, usesOf } from './use.ts';

/** What is known of a file that was measured: its inode and its file system, and what it is. */
export type FileFacts = Pick<
  PolicyAccess,
  'owner' | 'group' | 'fsMagic' | 'fsName' | 'fsSubtype' | 'fsUuid' | 'labels'
> & { readonly kind: FileKind };

/** Nothing is known of a file that is gone. */
export const UNKNOWN_FILE: FileFacts = { kind: 'other' };

export interface Candidate {
  readonly placed: PlacedRule;
  /** What was done with the file; absent for what is no file. */
  readonly use?: UseName;
  readonly func: PolicyFunc;
  /** Who, where that was tried; absent for what the kernel did itself. */
  readonly uid?: number;
  /** Conditions of the rule, and of `dont_` rules before it, that could not be told. */
  readonly untold: readonly string[];
}

export type EntryCause =
  /** boot_aggregate: the kernel begins each list with it (ima_init.c:ima_add_boot_aggregate). */
  | { readonly kind: 'kernel' }
  /** The likeliest first. One alone: no other rule of the policy makes such an entry. */
  | { readonly kind: 'rule'; readonly candidates: readonly [Candidate, ...Candidate[]] }
  /** No rule of this policy makes such an entry: it is from before the policy was loaded, or the policy is another one. */
  | { readonly kind: 'none' };

export interface ListFacts {
  /** Of entries whose rule names none; as boot_aggregate has it. */
  readonly template?: string;
  readonly pcr?: number;
  /** Who may have done something, the likeliest first; left out: root, and ids that the rules tell apart. */
  readonly users?: readonly number[];
}

/** What the first entry of a list says of those whose rule names no PCR and no template. */
export function listFactsOf(first: MeasurementEntry | undefined): ListFacts {
  return first?.fields?.path === BOOT_AGGREGATE ? { template: first.template, pcr: first.pcr } : {};
}

/** CONFIG_IMA_MEASURE_PCR_IDX. */
const DEFAULT_PCR = 10;

/** Files that are alike to the policy have one answer. Bounded: a list may name files of any number of owners. */
const MAX_REMEMBERED = 10_000;

/** Asks for the entries of one list, under one policy. */
export function causeFinder(
  policy: CompiledPolicy,
  list: ListFacts,
): (entry: MeasurementEntry, file: FileFacts) => EntryCause {
  const users = list.users ?? usersOf(policy);
  const remembered = new Map<string, EntryCause>();
  return (entry, file) => {
    if (entry.fields?.path === BOOT_AGGREGATE) return { kind: 'kernel' };
    const buffer = entry.fields?.buffer;
    if (buffer !== undefined && buffer.length > 0) return causeOf(bufferCandidates(policy, entry, list));
    const key = JSON.stringify([entry.pcr, entry.template, entry.violation, file]);
    const known = remembered.get(key);
    if (known !== undefined) return known;
    const cause = causeOf(fileCandidates(policy, entry, file, { ...list, users }));
    if (remembered.size === MAX_REMEMBERED) remembered.clear();
    remembered.set(key, cause);
    return cause;
  };
}

function causeOf(found: readonly Candidate[]): EntryCause {
  const [first, ...others] = distinct(found);
  return first === undefined ? { kind: 'none' } : { kind: 'rule', candidates: [first, ...others] };
}

function distinct(candidates: readonly Candidate[]): Candidate[] {
  const seen = new Set<PlacedRule>();
  return candidates.filter(({ placed }) => !seen.has(placed) && seen.add(placed));
}

type Users = ListFacts & { readonly users: readonly number[] };

/** By what is done with such files; where that makes no such entry, by whatever else can be done with any. */
function fileCandidates(policy: CompiledPolicy, entry: MeasurementEntry, file: FileFacts, list: Users): Candidate[] {
  const likely = usesOf(file.kind).flatMap((use) => useCandidates(policy, entry, file, list, use));
  const found = likely.length > 0 ? likely : FILE_USES.flatMap((use) => useCandidates(policy, entry, file, list, use));
  // What is certain of any use is likelier than what hangs on something that is not known.
  return found.sort((one, other) => Number(one.untold.length > 0) - Number(other.untold.length > 0));
}

function useCandidates(
  policy: CompiledPolicy,
  entry: MeasurementEntry,
  { kind, ...inode }: FileFacts,
  list: Users,
  use: FileUse,
): Candidate[] {
  const found: Candidate[] = [];
  for (const uid of isOfRoot(use) ? [0] : list.users) {
    for (const { func, mask } of hooksOf(use, kind)) {
      const rules = measuring(policy, { ...inode, func, mask, uid, euid: uid }).filter(({ placed }) =>
        isMadeBy(placed, entry, list),
      );
      found.push(...rules.map((one) => ({ ...one, use: use.name, func, uid })));
      // The hooks behind it find the file measured.
      if (rules.some(({ untold }) => untold.length === 0)) break;
    }
  }
  return found;
}

/** Ids at which the rules' conditions change sides, root first. Bounded: a policy may name thousands. */
function usersOf(policy: CompiledPolicy): number[] {
  const users = new Set([0, 1000]);
  for (const { placed } of policy.rules) {
    const id = placed.rule.user?.id;
    if (id !== undefined) for (const near of [id, id + 1, Math.max(0, id - 1)]) users.add(near);
    if (users.size > 64) break;
  }
  return [...users];
}

const COMMAND_LINE = 'kexec-cmdline';

/** Labels of critical data by the names of their events, as far as 6.12 makes any. */
const LABEL_OF_EVENT: readonly (readonly [name: RegExp, label: string])[] = [
  [/^selinux-/, 'selinux'],
  [/^kernel_version$/, 'kernel_info'],
  [/^dm_/, 'device-mapper'],
  [/^init_module$/, 'modules'],
];

/** Measured from memory: a command line, a key by its keyring's name, critical data by its event's (process_buffer_measurement). */
function bufferCandidates(policy: CompiledPolicy, entry: MeasurementEntry, list: ListFacts): Candidate[] {
  const name = entry.fields?.path ?? '';
  const label = LABEL_OF_EVENT.find(([event]) => event.test(name))?.[1];
  const asked: PolicyAccess[] =
    name === COMMAND_LINE
      ? [{ func: 'KEXEC_CMDLINE', mask: 0, uid: 0, euid: 0 }]
      : [
          { func: 'KEY_CHECK', mask: 0, data: name },
          { func: 'CRITICAL_DATA', mask: 0, ...(label === undefined ? {} : { data: label }) },
        ];
  const likely = label === undefined ? asked : asked.toReversed();
  return likely.flatMap((access) =>
    measuring(policy, access)
      .filter(({ placed }) => isMadeBy(placed, entry, { ...list, template: 'ima-buf' }))
      .map((one) => ({ ...one, func: access.func })),
  );
}

interface Measuring {
  readonly placed: PlacedRule;
  readonly untold: readonly string[];
}

/** Rules by which an access may be measured: those that may match, down to the first that surely does. */
function measuring(policy: CompiledPolicy, access: PolicyAccess): Measuring[] {
  const found: Measuring[] = [];
  const untold: string[] = [];
  for (const rule of policy.rules) {
    if (rule.duty !== 'measure' || !isOfFunc(rule.placed.rule, access.func)) continue;
    const open = untoldOf(rule, access);
    if (open === undefined) continue;
    if (rule.isDone) found.push({ placed: rule.placed, untold: [...untold, ...open] });
    if (open.length === 0) break;
    untold.push(...open);
  }
  return found;
}

/** The conditions that cannot be told; undefined where one fails. */
function untoldOf({ conditions }: CompiledRule, access: PolicyAccess): string[] | undefined {
  const open: string[] = [];
  for (const condition of conditions) {
    const holds = condition.holds(access);
    if (holds === false) return undefined;
    if (holds === undefined) open.push(condition.text);
  }
  return open;
}

/** A violation stands in the kernel's own PCR and template, whatever the rule says (ima_api.c:ima_add_violation). */
function isMadeBy({ rule }: PlacedRule, entry: MeasurementEntry, list: ListFacts): boolean {
  const pcr = list.pcr ?? DEFAULT_PCR;
  if (entry.violation) return entry.pcr === pcr;
  if (entry.pcr !== (rule.pcr ?? pcr)) return false;
  const template = rule.template ?? list.template;
  return template === undefined || template === entry.template;
}
