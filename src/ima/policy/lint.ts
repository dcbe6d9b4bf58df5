/** What is wrong with a policy that the kernel takes: rules that do nothing, or something else than they seem to say. */
import { includes, magicOf, masksOf, overlaps, rangeOf } from './compare.ts';
import { conditionsOf } from './condition.ts';
import { fileSystemOfName, fileSystemsOfMagic, type KnownFileSystem, MADE_UP } from './file-systems.ts';
import { IGNORES_APPRAISE_FLAG, isBefore, type KernelVersion, NEWEST_KERNEL } from './kernel.ts';
import type { PolicyText, RuleLine } from './parse.ts';
import { DUTY_OF, type PolicyOption, type PolicyRule } from './rule.ts';

export type PolicyFindingCode =
  /** The conditions of the rule never hold together. */
  | 'never-matches'
  /** A rule before it matches whatever it matches, and says something else. */
  | 'shadowed'
  /** A rule before it says the same of all that it matches. */
  | 'redundant'
  /** A `dont_` rule without a rule that it would make an exception of. */
  | 'idle'
  /** A `dont_` rule behind a rule that part of its files match already. */
  | 'late-exclusion'
  /** Two rules match the same files and want them done differently: the first decides. */
  | 'overlap'
  /** A word that the kernel takes and does not look at. */
  | 'ignored'
  /** Appraisal where no label can be, or stay. */
  | 'no-labels'
  /** A wide rule without exceptions for file systems that the kernel makes up. */
  | 'missing-exclusion'
  /** Everything that is opened is measured, for writing too. */
  | 'measures-everything'
  /** It depends on how the kernel was built, or on the security module's policy. */
  | 'needs-configuration'
  /** A PCR that others extend, or that the TPM does not have. */
  | 'pcr'
  /** fs-verity's digest in a template that does not tell it from the content's. */
  | 'verity-template'
  /** Once this rule is loaded, every further policy has to be a signed file, named by its path. */
  | 'policy-signed'
  /** The last line has no newline: the kernel refuses the file where it reads it itself. */
  | 'no-newline'
  /** So many rules that they are not compared with each other. */
  | 'not-compared';

export interface PolicyFinding {
  readonly code: PolicyFindingCode;
  /** `note`: right as it is, where it is known. */
  readonly severity: 'warning' | 'note';
  readonly line: number;
  /** The last of the lines behind one another of which the same is to be said; `line` where it is said of one. */
  readonly through: number;
  readonly column: number;
  readonly message: string;
  readonly advice: string;
}

/** Comparing each rule with each other takes a second at some thousands. */
const MAX_COMPARED = 1000;

/** @param kernel whose language the text was read in; left out: the newest */
export function lintPolicy(text: PolicyText, kernel: KernelVersion = NEWEST_KERNEL): PolicyFinding[] {
  const rules = text.lines.filter((line) => line.kind === 'rule');
  const findings = [
    ...rules.flatMap((line) => ofRule(line, kernel)),
    ...ofWhole(rules),
    ...(rules.length > MAX_COMPARED
      ? [notCompared(rules)]
      : rules.flatMap((line, index) => ofPairs(line, rules, index))),
    ...(text.endsInLine ? [noNewline(text)] : []),
  ];
  return inRuns(findings.sort((one, other) => one.line - other.line || one.column - other.column));
}

/** One finding for lines behind one another of which the same is said, as exceptions are written one a file system. */
function inRuns(findings: readonly PolicyFinding[]): PolicyFinding[] {
  const runs: PolicyFinding[] = [];
  for (const finding of findings) {
    const before = runs.at(-1);
    const goesOn =
      before?.code === finding.code && before.message === finding.message && finding.line - before.through <= 1;
    if (goesOn) runs[runs.length - 1] = { ...before, through: finding.line };
    else runs.push(finding);
  }
  return runs;
}

type Say = (
  code: PolicyFindingCode,
  severity: PolicyFinding['severity'],
  message: string,
  advice: string,
  option?: PolicyOption,
) => PolicyFinding;

const sayer =
  ({ line, columns }: RuleLine): Say =>
  (code, severity, message, advice, option) => {
    const first = Math.min(...columns.values());
    const column = (option && columns.get(option)) ?? (Number.isFinite(first) ? first : 1);
    return { code, severity, line, through: line, column, message, advice };
  };

function ofRule(line: RuleLine, kernel: KernelVersion): PolicyFinding[] {
  const say = sayer(line);
  const { rule } = line.placed;
  return [
    ...impossible(rule, say),
    ...ignored(line, say, kernel),
    ...withoutLabels(rule, say),
    ...configuration(rule, say),
    ...pcrOf(rule, say),
    ...verityTemplate(rule, say),
    ...wide(rule, say),
  ];
}

const RIGHT_MASK = 'leave mask= out, or say what the function asks with';

function impossible(rule: PolicyRule, say: Say): PolicyFinding[] {
  const never = (why: string, advice: string, option: PolicyOption): PolicyFinding =>
    say('never-matches', 'warning', `the rule never matches: ${why}`, advice, option);
  const found: PolicyFinding[] = [];
  if (rule.mask !== undefined && masksOf(rule).length === 0) {
    const where = rule.func === undefined ? 'no file is opened' : `func=${rule.func} never asks`;
    found.push(
      never(`${where} with ${rule.mask.access} ${rule.mask.isAmong ? 'among it' : 'alone'}`, RIGHT_MASK, 'mask'),
    );
  }
  if (rule.fsmagic !== undefined && (rule.fsmagic === 0n || rule.fsmagic > 0xffff_ffffn)) {
    found.push(never('no file system has this magic number', 'stat -f -c %t FILE prints it', 'fsmagic'));
  }
  const named = rule.fsname === undefined ? undefined : fileSystemOfName(rule.fsname);
  if (named !== undefined && rule.fsmagic !== undefined && BigInt(named.magic) !== rule.fsmagic) {
    const magic = `0x${named.magic.toString(16)}`;
    found.push(never(`${named.name} has fsmagic=${magic}`, 'say one of the two', 'fsname'));
  }
  if (named !== undefined && rule.fsSubtype !== undefined && !named.name.startsWith('fuse')) {
    found.push(never(`${named.name} has no subtype`, 'FUSE file systems have one: fsname=fuse', 'fs_subtype'));
  }
  return [...found, ...emptyRanges(rule, never)];
}

function emptyRanges(
  { user, group, fowner, fgroup }: PolicyRule,
  never: (why: string, advice: string, option: PolicyOption) => PolicyFinding,
): PolicyFinding[] {
  const named = [
    [user?.isEffective === true ? 'euid' : 'uid', user],
    [group?.isEffective === true ? 'egid' : 'gid', group],
    ['fowner', fowner],
    ['fgroup', fgroup],
  ] as const;
  return named.flatMap(([option, condition]) => {
    if (condition === undefined) return [];
    const [from, to] = rangeOf(condition);
    if (from <= to) return [];
    return [never(`there is no id ${condition.operator} ${condition.id}`, 'ids go from 0 to 4294967294', option)];
  });
}

function ignored({ placed: { rule }, forgotten }: RuleLine, say: Say, kernel: KernelVersion): PolicyFinding[] {
  const found = forgotten.map((option) =>
    say('ignored', 'warning', `${option}= is said twice, and the last word counts`, 'say it once', option),
  );
  const isOwn = rule.func === 'KEY_CHECK' || rule.func === 'CRITICAL_DATA';
  if (isOwn && rule.group !== undefined) {
    const message = `gid= is not looked at with func=${rule.func} (ima_match_rule_data)`;
    found.push(say('ignored', 'warning', message, 'leave it out', 'gid'));
  }
  if (rule.func === 'SETXATTR_CHECK' && rule.labels !== undefined) {
    const message = 'labels of the security module are not looked at with func=SETXATTR_CHECK';
    found.push(say('ignored', 'warning', message, 'leave them out'));
  }
  if (rule.appraiseFlag !== undefined && !isBefore(kernel, IGNORES_APPRAISE_FLAG)) {
    const message = 'appraise_flag= is not looked at: the blacklist is asked wherever a signature is wanted';
    found.push(say('ignored', 'note', message, 'leave it out', 'appraise_flag'));
  }
  return found;
}

function withoutLabels(rule: PolicyRule, say: Say): PolicyFinding[] {
  const magic = magicOf(rule);
  if (rule.action !== 'appraise' || magic === undefined) return [];
  const known = rule.fsname === undefined ? fileSystemsOfMagic(magic)[0] : fileSystemOfName(rule.fsname);
  const option = rule.fsname === undefined ? 'fsmagic' : 'fsname';
  if (known === undefined || known.kind === 'labels') return [];
  if (known.kind === 'memory') {
    const message = `labels on ${known.name} are gone at the next boot`;
    return [say('no-labels', 'note', message, 'whatever writes the files has to label them', option)];
  }
  const message = `nothing can be labelled on ${known.name}: whatever the rule matches is denied`;
  return [say('no-labels', 'warning', message, `write dont_appraise instead`, option)];
}

/** Not in every kernel's configuration (crypto/Kconfig); the others come with IMA, EVM and module signatures. */
const USUAL_ALGOS: ReadonlySet<string> = new Set(['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512']);

function configuration(rule: PolicyRule, say: Say): PolicyFinding[] {
  const needs = (what: string, option?: PolicyOption): PolicyFinding =>
    say('needs-configuration', 'note', `the kernel takes this only with ${what}`, 'look at its configuration', option);
  const found: PolicyFinding[] = [];
  if (rule.func === 'KEY_CHECK') found.push(needs('CONFIG_IMA_MEASURE_ASYMMETRIC_KEYS', 'func'));
  if (rule.appraiseType === 'imasig|modsig') found.push(needs('CONFIG_IMA_APPRAISE_MODSIG', 'appraise_type'));
  if (rule.labels !== undefined) {
    found.push(needs('CONFIG_IMA_LSM_RULES, and as its first policy only where the security module knows the label'));
  }
  const unusual = rule.appraiseAlgos?.filter((name) => !USUAL_ALGOS.has(name)) ?? [];
  if (unusual.length > 0) found.push(needs(`${unusual.join(', ')} built in or loaded`, 'appraise_algos'));
  return found;
}

/** TCG PC Client Platform Firmware Profile 3.3.4; uapi-group.org's registry of PCRs. */
function othersOf(pcr: number): string {
  if (pcr > 23) return 'no TPM has it, so that nothing is extended';
  if (pcr <= 9) return 'firmware and boot loader extend it';
  if (pcr <= 15) return pcr === 14 ? 'shim extends it' : 'systemd extends it, where it has a TPM to boot with';
  return pcr >= 17 && pcr <= 22 ? 'it is of dynamic launches' : 'anybody may reset it';
}

function pcrOf({ pcr }: PolicyRule, say: Say): PolicyFinding[] {
  if (pcr === undefined || pcr === 10) return [];
  const message = `PCR ${pcr}: ${othersOf(pcr)}`;
  return [say('pcr', pcr > 23 ? 'warning' : 'note', message, 'PCR 10 is IMA’s own', 'pcr')];
}

function verityTemplate(rule: PolicyRule, say: Say): PolicyFinding[] {
  const tells = rule.template === 'ima-ngv2' || rule.template === 'ima-sigv2';
  if (rule.action !== 'measure' || rule.digestType === undefined || tells) return [];
  const message = 'the list will not say which digests are fs-verity’s';
  return [say('verity-template', 'note', message, 'add template=ima-ngv2 or template=ima-sigv2', 'digest_type')];
}

function wide(rule: PolicyRule, say: Say): PolicyFinding[] {
  const found: PolicyFinding[] = [];
  if (rule.action === 'measure' && rule.func === undefined && conditionsOf(rule).length === 0) {
    const message = 'every open of a file is measured, also for writing: the list grows without end';
    found.push(say('measures-everything', 'warning', message, 'say func=, and for FILE_CHECK mask= and uid='));
  }
  if (rule.action === 'appraise' && rule.func === 'POLICY_CHECK') {
    const message = 'once loaded, every further policy has to be a signed file, given by its path';
    found.push(say('policy-signed', 'note', message, 'keep the key with which it is signed', 'func'));
  }
  return found;
}

/** What takes all rules of a duty to see. */
function ofWhole(rules: readonly RuleLine[]): PolicyFinding[] {
  const asked = new Set(
    rules
      .filter(({ placed: { rule } }) => DUTY_OF[rule.action].isDone && rule.func !== 'SETXATTR_CHECK')
      .map(({ placed: { rule } }) => DUTY_OF[rule.action].duty),
  );
  const idle = rules
    .filter(({ placed: { rule } }) => !DUTY_OF[rule.action].isDone && !asked.has(DUTY_OF[rule.action].duty))
    .map((line) => {
      const { action } = line.placed.rule;
      const message = `${action} is an exception of nothing: no rule says ${DUTY_OF[action].duty}`;
      return sayer(line)('idle', 'note', message, 'leave it out, unless the kernel’s own rules stand before it');
    });
  const setxattr = rules.filter(({ placed: { rule } }) => rule.func === 'SETXATTR_CHECK');
  const second = setxattr.slice(1).map((line) => {
    const message = `of several SETXATTR_CHECK rules the first counts, in line ${setxattr[0]?.line}`;
    return sayer(line)('ignored', 'warning', message, 'leave it out', 'func');
  });
  return [...idle, ...second, ...rules.flatMap((line, index) => missingExclusions(line, rules.slice(0, index)))];
}

function missingExclusions(line: RuleLine, before: readonly RuleLine[]): PolicyFinding[] {
  const { rule } = line.placed;
  const { duty, isDone } = DUTY_OF[rule.action];
  if (!isDone || !readsAnywhere(rule) || before.length > MAX_COMPARED) return [];
  const isExcluded = ({ magic }: KnownFileSystem): boolean => {
    const there = { ...rule, fsmagic: BigInt(magic) };
    return before.some(({ placed: { rule: one } }) => one.action === `dont_${duty}` && includes(one, there));
  };
  const missing = MADE_UP.filter((one) => !isExcluded(one)).map(({ name }) => name);
  if (missing.length === 0) return [];
  const why = duty === 'appraise' ? 'nothing there can be labelled' : 'their content is made up at each read';
  const message = `files of ${missing.join(', ')} are matched too: ${why}`;
  const advice = `put dont_${duty} fsmagic=… before it, as the built-in policies do`;
  return [sayer(line)('missing-exclusion', 'warning', message, advice)];
}

/** It is about reading files, on any file system, and about root's files, as those of these file systems are. */
function readsAnywhere(rule: PolicyRule): boolean {
  if (rule.func !== undefined && rule.func !== 'FILE_CHECK') return false;
  if (magicOf(rule) !== undefined || rule.fsname !== undefined || rule.fsuuid !== undefined) return false;
  if (rule.fsSubtype !== undefined || rule.labels !== undefined) return false;
  const [lowest] = rule.fowner === undefined ? [0] : rangeOf(rule.fowner);
  return lowest === 0 && masksOf(rule).some((mask) => (mask & 4) !== 0);
}

/** A rule beside those before it; at most one finding of each kind. */
function ofPairs(line: RuleLine, rules: readonly RuleLine[], index: number): PolicyFinding[] {
  const { rule } = line.placed;
  const { duty, isDone } = DUTY_OF[rule.action];
  if (rule.func === 'SETXATTR_CHECK') return [];
  const say = sayer(line);
  const before = rules
    .slice(0, index)
    .filter(({ placed: { rule: one } }) => DUTY_OF[one.action].duty === duty && one.func !== 'SETXATTR_CHECK');
  const wider = before.find(({ placed }) => includes(placed.rule, rule));
  if (wider !== undefined) {
    if (isDoneAlike(wider.placed.rule, rule)) {
      const message = `line ${wider.line} says the same of whatever this rule matches`;
      return [say('redundant', 'note', message, 'leave it out')];
    }
    const message = `the rule never decides: line ${wider.line} matches whatever it matches, and comes first`;
    return [say('shadowed', 'warning', message, `put it before line ${wider.line}, or leave it out`)];
  }
  if (!isDone) {
    const late = before.find(({ placed: { rule: one } }) => DUTY_OF[one.action].isDone && overlaps(one, rule));
    if (late === undefined) return [];
    const message = `what line ${late.line} matches too is decided there: this exception comes too late for it`;
    const behind = rules.slice(index + 1).map(({ placed }) => placed.rule);
    const serves = behind.some((one) => one.action === duty && overlaps(one, rule));
    return [say('late-exclusion', serves ? 'note' : 'warning', message, `put it before line ${late.line}`)];
  }
  const other = before.find(
    ({ placed: { rule: one } }) => DUTY_OF[one.action].isDone && overlaps(one, rule) && !isDoneAlike(one, rule),
  );
  // A narrow rule before a wide one is how exceptions are written.
  if (other === undefined || includes(rule, other.placed.rule)) return [];
  const message = `what line ${other.line} matches too is done its way`;
  return [say('overlap', 'note', message, 'put the rule that should decide first')];
}

/** Both have the same done. */
const isDoneAlike = (one: PolicyRule, other: PolicyRule): boolean => wayOf(one) === wayOf(other);
const wayOf = ({
  action,
  digestType,
  appraiseType,
  appraiseAlgos,
  permitDirectio,
  pcr,
  template,
}: PolicyRule): string =>
  JSON.stringify([action, digestType, appraiseType, appraiseAlgos, permitDirectio, pcr, template]);

const notCompared = (rules: readonly RuleLine[]): PolicyFinding => ({
  code: 'not-compared',
  severity: 'note',
  line: 1,
  through: 1,
  column: 1,
  message: `${rules.length} rules are too many to compare each with each other`,
  advice: `up to ${MAX_COMPARED} are`,
});

function noNewline({ lines }: PolicyText): PolicyFinding {
  const line = lines.at(-1)?.line ?? 1;
  return {
    code: 'no-newline',
    severity: 'warning',
    line,
    through: line,
    column: 1,
    message: 'the last line has no newline: a kernel that reads the file itself refuses it (ima_fs.c:ima_read_policy)',
    advice: 'end the last line',
  };
}
