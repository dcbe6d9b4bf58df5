/** How the accesses that two rules match lie to each other. */
import { FILE_SYSTEMS } from './file-systems.ts';
import {
  type IdCondition,
  LABEL_CONDITIONS,
  MAY,
  type MaskCondition,
  type PolicyFunc,
  type PolicyRule,
} from './rule.ts';

/** The one mask that a hook asks with; FILE_CHECK asks with what a file is opened for. */
const MASK_OF: Readonly<Partial<Record<PolicyFunc, number>>> = {
  MMAP_CHECK: MAY.MAY_EXEC,
  MMAP_CHECK_REQPROT: MAY.MAY_EXEC,
  BPRM_CHECK: MAY.MAY_EXEC,
  CREDS_CHECK: MAY.MAY_EXEC,
  MODULE_CHECK: MAY.MAY_READ,
  FIRMWARE_CHECK: MAY.MAY_READ,
  KEXEC_KERNEL_CHECK: MAY.MAY_READ,
  KEXEC_INITRAMFS_CHECK: MAY.MAY_READ,
  POLICY_CHECK: MAY.MAY_READ,
};

/** Masks that files are opened with; O_APPEND never comes alone. */
const OPENED_WITH = [
  MAY.MAY_EXEC,
  MAY.MAY_READ,
  MAY.MAY_WRITE,
  MAY.MAY_READ | MAY.MAY_WRITE,
  MAY.MAY_WRITE | MAY.MAY_APPEND,
  MAY.MAY_READ | MAY.MAY_APPEND,
  MAY.MAY_READ | MAY.MAY_WRITE | MAY.MAY_APPEND,
];

/** Masks that an access can have which the rule matches, by its function and its mask. */
export function masksOf({ func, mask }: PolicyRule): readonly number[] {
  const asked = (func === undefined ? undefined : MASK_OF[func]) ?? OPENED_WITH;
  const possible = typeof asked === 'number' ? [asked] : asked;
  return mask === undefined ? possible : possible.filter((one) => maskHolds(mask, one));
}

function maskHolds({ access, isAmong }: MaskCondition, mask: number): boolean {
  return isAmong ? (mask & MAY[access]) !== 0 : mask === MAY[access];
}

/** Highest id: 2³² - 1 is none. */
const MAX_ID = 0xffff_fffe;

/** The ids that a condition holds for, both ends included; the first is above the second where there is none. */
export function rangeOf({ operator, id }: IdCondition): readonly [from: number, to: number] {
  if (operator === '=') return [id, id];
  return operator === '<' ? [0, id - 1] : [id + 1, MAX_ID];
}

/** `s_magic` of what `fsname=` names, where every file system of that name has it. */
export function magicOf({ fsmagic, fsname }: PolicyRule): bigint | undefined {
  if (fsmagic !== undefined) return fsmagic;
  const known = fsname === undefined ? undefined : FILE_SYSTEMS.find((one) => one.name === fsname);
  return known === undefined ? undefined : BigInt(known.magic);
}

/** Whatever `narrow` matches, `wide` matches too. False also where that cannot be seen. */
export function includes(wide: PolicyRule, narrow: PolicyRule): boolean {
  return (
    includesFunc(wide, narrow) &&
    masksOf(narrow).every((mask) => wide.mask === undefined || maskHolds(wide.mask, mask)) &&
    (wide.fsmagic === undefined || magicOf(narrow) === wide.fsmagic) &&
    isSameOrAbsent(wide.fsname, narrow.fsname) &&
    isSameOrAbsent(wide.fsSubtype, narrow.fsSubtype) &&
    isSameOrAbsent(wide.fsuuid, narrow.fsuuid) &&
    wide.user?.isEffective === (wide.user && narrow.user?.isEffective) &&
    includesRange(wide.user, narrow.user) &&
    wide.group?.isEffective === (wide.group && narrow.group?.isEffective) &&
    includesRange(wide.group, narrow.group) &&
    includesRange(wide.fowner, narrow.fowner) &&
    includesRange(wide.fgroup, narrow.fgroup) &&
    LABEL_CONDITIONS.every((name) => isSameOrAbsent(wide.labels?.[name], narrow.labels?.[name])) &&
    includesList(wide.keyrings, narrow.keyrings) &&
    includesList(wide.label, narrow.label)
  );
}

const isOwn = (func: PolicyFunc | undefined): boolean => func === 'KEY_CHECK' || func === 'CRITICAL_DATA';

const includesFunc = (wide: PolicyRule, narrow: PolicyRule): boolean =>
  wide.func === undefined ? !isOwn(narrow.func) : wide.func === narrow.func;

const isSameOrAbsent = (wide: string | undefined, narrow: string | undefined): boolean =>
  wide === undefined || wide === narrow;

function includesRange(wide: IdCondition | undefined, narrow: IdCondition | undefined): boolean {
  if (wide === undefined) return true;
  if (narrow === undefined) return false;
  const [from, to] = rangeOf(wide);
  const [lowest, highest] = rangeOf(narrow);
  return lowest >= from && highest <= to;
}

const includesList = (wide: readonly string[] | undefined, narrow: readonly string[] | undefined): boolean =>
  wide === undefined || narrow?.every((item) => wide.includes(item)) === true;

/** Some access may match both. True also where the opposite cannot be seen. */
export function overlaps(one: PolicyRule, other: PolicyRule): boolean {
  const masks = masksOf(other);
  const [oneMagic, otherMagic] = [magicOf(one), magicOf(other)];
  return (
    overlapsFunc(one, other) &&
    masksOf(one).some((mask) => masks.includes(mask)) &&
    (oneMagic === undefined || otherMagic === undefined || oneMagic === otherMagic) &&
    isSameOrOpen(one.fsname, other.fsname) &&
    isSameOrOpen(one.fsSubtype, other.fsSubtype) &&
    isSameOrOpen(one.fsuuid, other.fsuuid) &&
    (one.user?.isEffective !== other.user?.isEffective || overlapsRange(one.user, other.user)) &&
    (one.group?.isEffective !== other.group?.isEffective || overlapsRange(one.group, other.group)) &&
    overlapsRange(one.fowner, other.fowner) &&
    overlapsRange(one.fgroup, other.fgroup) &&
    LABEL_CONDITIONS.every((name) => isSameOrOpen(one.labels?.[name], other.labels?.[name])) &&
    overlapsList(one.keyrings, other.keyrings) &&
    overlapsList(one.label, other.label)
  );
}

function overlapsFunc(one: PolicyRule, other: PolicyRule): boolean {
  if (one.func === undefined) return !isOwn(other.func);
  return other.func === undefined ? !isOwn(one.func) : one.func === other.func;
}

const isSameOrOpen = (one: string | undefined, other: string | undefined): boolean =>
  one === undefined || other === undefined || one === other;

function overlapsRange(one: IdCondition | undefined, other: IdCondition | undefined): boolean {
  if (one === undefined || other === undefined) return true;
  const [from, to] = rangeOf(one);
  const [lowest, highest] = rangeOf(other);
  return lowest <= to && from <= highest;
}

const overlapsList = (one: readonly string[] | undefined, other: readonly string[] | undefined): boolean =>
  one === undefined || other === undefined || one.some((item) => other.includes(item));
