/** The conditions of a rule as tests of an access (kernel: ima_policy.c:ima_match_rules), in the kernel's order. */
import type { PolicyAccess } from './access.ts';
import {
  type CredentialCondition,
  type IdCondition,
  type IdOperator,
  LABEL_CONDITIONS,
  type LabelCondition,
  MAY,
  type PolicyRule,
} from './rule.ts';

/** True: it holds; false: it does not; undefined: what it asks for is not known. */
export type Verdict = boolean | undefined;

export interface Condition {
  /** As the rule has it: `fsmagic=0xef53`. */
  readonly text: string;
  holds(access: PolicyAccess): Verdict;
  /** What the access has in its place, for a person; undefined where it is not known. */
  found(access: PolicyAccess): string | undefined;
}

const COMPARE: Readonly<Record<IdOperator, (one: number, other: number) => boolean>> = {
  '=': (one, other) => one === other,
  '<': (one, other) => one < other,
  '>': (one, other) => one > other,
};

/** `func=` is left to who looks rules up: a rule with another one is not even asked. */
export function conditionsOf(rule: PolicyRule): Condition[] {
  // ima_match_rule_data: of all conditions these two functions look at uid= and at their own list; gid= is taken and not looked at.
  if (rule.func === 'KEY_CHECK' || rule.func === 'CRITICAL_DATA') {
    const list = rule.func === 'KEY_CHECK' ? rule.keyrings : rule.label;
    const name = rule.func === 'KEY_CHECK' ? 'keyrings' : 'label';
    return [...userOf(rule), ...(list === undefined ? [] : [listed(name, list)])];
  }
  return [
    ...maskOf(rule),
    ...fileSystemOf(rule),
    ...userOf(rule),
    ...(rule.group === undefined ? [] : [groupCondition(rule.group)]),
    ...(rule.fowner === undefined ? [] : [idCondition('fowner', rule.fowner, ({ owner }) => owner)]),
    ...(rule.fgroup === undefined ? [] : [idCondition('fgroup', rule.fgroup, ({ group }) => group)]),
    ...LABEL_CONDITIONS.flatMap((name) => labelCondition(name, rule.labels?.[name])),
  ];
}

const listed = (name: string, list: readonly string[]): Condition => ({
  text: `${name}=${list.join('|')}`,
  holds: ({ data }) => (data === undefined ? undefined : list.includes(data)),
  found: ({ data }) => data,
});

function maskOf({ mask }: PolicyRule): Condition[] {
  if (mask === undefined) return [];
  const bit = MAY[mask.access];
  const found = (access: PolicyAccess): string => maskText(access.mask);
  return [
    mask.isAmong
      ? { text: `mask=^${mask.access}`, holds: (access) => (access.mask & bit) !== 0, found }
      : { text: `mask=${mask.access}`, holds: (access) => access.mask === bit, found },
  ];
}

/** `MAY_READ|MAY_WRITE`, or `0`. */
export function maskText(mask: number): string {
  const names = Object.entries(MAY).filter(([, bit]) => (mask & bit) !== 0);
  return names.length === 0 ? '0' : names.map(([name]) => name).join('|');
}

function equals<T extends string | number>(
  text: string,
  wanted: T | undefined,
  of: (access: PolicyAccess) => T | undefined,
  show: (value: T) => string = String,
): Condition {
  return {
    text,
    holds: (access) => {
      const value = of(access);
      return value === undefined ? undefined : value === wanted;
    },
    found: (access) => {
      const value = of(access);
      return value === undefined ? undefined : show(value);
    },
  };
}

function fileSystemOf({ fsmagic, fsname, fsSubtype, fsuuid }: PolicyRule): Condition[] {
  const conditions: Condition[] = [];
  if (fsmagic !== undefined) {
    // No file system has a magic number of more than 32 bits.
    const wanted = fsmagic > 0xffff_ffffn ? undefined : Number(fsmagic);
    const show = (magic: number): string => `0x${magic.toString(16)}`;
    conditions.push(equals(`fsmagic=0x${fsmagic.toString(16)}`, wanted, ({ fsMagic }) => fsMagic, show));
  }
  if (fsname !== undefined) conditions.push(equals(`fsname=${fsname}`, fsname, ({ fsName }) => fsName));
  if (fsSubtype !== undefined) {
    conditions.push(equals(`fs_subtype=${fsSubtype}`, fsSubtype, (access) => access.fsSubtype));
  }
  if (fsuuid !== undefined) conditions.push(equals(`fsuuid=${fsuuid}`, fsuuid, ({ fsUuid }) => fsUuid));
  return conditions;
}

/** `euid>1000`. */
export const idText = (name: string, { operator, id }: IdCondition): string => `${name}${operator}${id}`;

function idCondition(
  name: string,
  condition: IdCondition,
  of: (access: PolicyAccess) => number | undefined,
): Condition {
  const compare = COMPARE[condition.operator];
  return {
    text: idText(name, condition),
    holds: (access) => {
      const id = of(access);
      return id === undefined ? undefined : compare(id, condition.id);
    },
    found: (access) => of(access)?.toString(),
  };
}

function userOf({ user }: PolicyRule): Condition[] {
  if (user === undefined) return [];
  return [user.isEffective ? effectiveCondition('euid', user, USER) : idCondition('uid', user, ({ uid }) => uid)];
}

function groupCondition(group: CredentialCondition): Condition {
  return group.isEffective ? effectiveCondition('egid', group, GROUP) : idCondition('gid', group, ({ gid }) => gid);
}

const USER = { effective: 'euid', saved: 'suid', real: 'uid', capability: 'hasSetuid' } as const;
const GROUP = { effective: 'egid', saved: 'sgid', real: 'gid', capability: 'hasSetgid' } as const;

/** The effective id, or, for one who has the capability, any of the three. */
function effectiveCondition(name: string, condition: IdCondition, keys: typeof USER | typeof GROUP): Condition {
  const compare = COMPARE[condition.operator];
  const idsOf = (access: PolicyAccess): readonly (number | undefined)[] => {
    const effective = access[keys.effective];
    return looksAtAll(access, keys) ? [effective, access[keys.saved] ?? effective, access[keys.real]] : [effective];
  };
  return {
    text: idText(name, condition),
    holds: (access) => {
      const effective = access[keys.effective];
      if (effective === undefined) return undefined;
      if (compare(effective, condition.id)) return true;
      if (!looksAtAll(access, keys)) return false;
      const real = access[keys.real];
      if (compare(access[keys.saved] ?? effective, condition.id)) return true;
      return real === undefined ? undefined : compare(real, condition.id);
    },
    found: (access) => (access[keys.effective] === undefined ? undefined : [...new Set(idsOf(access))].join(', ')),
  };
}

const looksAtAll = (access: PolicyAccess, { capability }: typeof USER | typeof GROUP): boolean =>
  access[capability] ?? access.euid === 0;

function labelCondition(name: LabelCondition, wanted: string | undefined): Condition[] {
  if (wanted === undefined) return [];
  return [equals(`${name}=${wanted}`, wanted, ({ labels }) => labels?.[name])];
}
