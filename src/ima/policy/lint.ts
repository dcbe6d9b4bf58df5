/** What is wrong with a policy that the kernel takes: rules that do nothing, or something else than they seem to say. */
import { includes, magicOf, masksOf, overlaps, rangeOf } from './compare.ts';
import { type KnownFileSystem, MADE_UP } from './file-systems.ts';
import { type PolicyFinding, sayer } from './finding.ts';
import { type KernelVersion, NEWEST_KERNEL } from './kernel.ts';
import { lintRule } from './lint-rule.ts';
import type { PolicyText, RuleLine } from './parse.ts';
import { DUTY_OF, MAY, type PolicyRule } from './rule.ts';

/** Comparing each rule with each other takes a second at some thousands. */
const MAX_COMPARED = 2000;

/** @param kernel whose language the text was read in; left out: the newest */
export function lintPolicy(text: PolicyText, kernel: KernelVersion = NEWEST_KERNEL): PolicyFinding[] {
  const rules = text.lines.filter((line) => line.kind === 'rule');
  const findings = [
    ...(rules.length > MAX_COMPARED
      ? [notCompared(rules)]
      : rules.flatMap((line, index) => ofPairs(line, rules, index))),
    ...rules.flatMap((line) => lintRule(line, kernel)),
    ...ofWhole(rules),
    ...(text.endsInLine ? [noNewline(text)] : []),
  ];
  return inRuns(findings.sort((one, other) => one.line - other.line || one.column - other.column));
}

/** One finding for lines behind one another of which the same is said, as exceptions are written one a file system. */
function inRuns(findings: readonly PolicyFinding[]): PolicyFinding[] {
  const runs: PolicyFinding[] = [];
  /** Of what is said, the last run in which it is. */
  const lastRun = new Map<string, number>();
  for (const finding of findings) {
    const said = `${finding.code} ${finding.message}`;
    const index = lastRun.get(said) ?? runs.length;
    const before = runs[index];
    if (before !== undefined && finding.line - before.through <= 1) {
      runs[index] = { ...before, through: finding.line };
    } else {
      lastRun.set(said, runs.length);
      runs.push(finding);
    }
  }
  return runs;
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
  const bounded = rules.slice(0, MAX_COMPARED);
  return [...idle, ...second, ...bounded.flatMap((line, index) => missingExclusions(line, bounded.slice(0, index)))];
}

function missingExclusions(line: RuleLine, before: readonly RuleLine[]): PolicyFinding[] {
  const { rule } = line.placed;
  const { duty, isDone } = DUTY_OF[rule.action];
  if (!isDone || !readsAnywhere(rule)) return [];
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
  return lowest === 0 && masksOf(rule).some((mask) => (mask & MAY.MAY_READ) !== 0);
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
