/** `assay ima policy explain`: which rule decides an access, and why none before it does. */
import type { Command } from 'commander';
import {
  type CompiledPolicy,
  DUTIES,
  type Duty,
  type Explanation,
  explainAccess,
  FILE_USES,
  type FileFacts,
  FUNCS,
  formatRule,
  type Hook,
  hooksOf,
  LABEL_CONDITIONS,
  MAY,
  maskText,
  type PolicyAccess,
  type RuleOutcome,
  usesOf,
} from '../ima/policy/index.ts';
import { explainList } from './ima-policy-causes.ts';
import { BUILT_IN_HELP, KERNEL_HELP, type PolicyFlags, policyInForce } from './ima-policy-input.ts';
import { placeOf, ruleJson } from './ima-policy-place.ts';
import { LiveFiles } from './live-file.ts';
import { escapeControls, formatTable, printJson, printLine } from './terminal.ts';
import { collect } from './tree-options.ts';
import { UsageError } from './usage-error.ts';
import { parseGroup, parseUser } from './user-name.ts';

export interface ExplainOptions extends PolicyFlags {
  readonly path?: string;
  readonly list?: string;
  readonly root?: string;
  readonly user?: string;
  readonly group?: string;
  readonly func?: string;
  readonly mask?: string;
  readonly data?: string;
  readonly label?: readonly string[];
  readonly verbose?: boolean;
  readonly json?: boolean;
}

export function registerExplain(policy: Command): void {
  policy
    .command('explain')
    .description('Which rule decides for a file, a user and an access, and why no other; or for each entry of a list')
    .argument('[file]', 'policy; - is standard input')
    .option('--builtin <names>', BUILT_IN_HELP)
    .option('--path <file>', 'file of this machine: its owner, its file system and what it is count')
    .option('--list <list>', 'measurement list: the rule that caused each entry')
    .option('--root <folder>', 'where the files of the list lie (left out: /)')
    .option('--user <user>', 'who asks, by name or number (left out: root; for --list whoever may have)')
    .option('--group <group>', 'its group (left out: its primary one)')
    .option(
      '--func <func>',
      'one function alone, as BPRM_CHECK (left out: those that the usual uses of the file go through)',
    )
    .option('--mask <mask>', 'what is asked for, as MAY_READ|MAY_WRITE (left out: what the function asks with)')
    .option('--data <name>', 'of KEY_CHECK the keyring, of CRITICAL_DATA the label')
    .option('--label <condition>', 'what the security module says, as obj_type=bin_t; may be repeated', collect)
    .option('--kernel <version>', KERNEL_HELP)
    .option('--config <file>', 'the kernel’s configuration, for the rules that come with it')
    .option('--secure-boot', 'Secure Boot is on: the architecture’s rules are in force')
    .option('--verbose', 'of each rule, whether it decides, and if not, why')
    .option('--json', 'print {"path","file","uses"}; with --list an object a line')
    .addHelpText('after', EXPLAIN_HELP)
    .action(explain);
}

const EXPLAIN_HELP = `
A list does not say what was done with a file, nor by whom: the likeliest rule comes first, and where another one makes the
same entry it stands beside it. Exit codes: 0 told · 1 an entry that no rule of this policy makes · 3 not known whether a
rule matches (as for labels of the security module; give them with --label)

Examples:
  assay ima policy explain /etc/ima/ima-policy --path /usr/bin/passwd --user nobody
  assay ima policy explain --builtin tcb --path /etc/shadow --func FILE_CHECK --mask MAY_READ
  assay ima policy explain --builtin tcb --list /sys/kernel/security/ima/binary_runtime_measurements`;

function explain(file: string | undefined, options: ExplainOptions): void {
  const policy = policyInForce(file, options);
  if (options.list !== undefined) {
    if (options.path !== undefined) throw new UsageError('--path and --list are two questions', 'ask one of them');
    explainList(policy, options.list, options);
  } else {
    explainPath(policy, options);
  }
}

interface Asked {
  /** Behind the file's name: `is run`. */
  readonly words: string;
  readonly hooks: readonly Hook[];
}

/** One hook that was asked, and what came of it. */
interface Answer {
  readonly hook: Hook;
  readonly explanation: Explanation;
}

function explainPath(policy: CompiledPolicy, options: ExplainOptions): void {
  const { path } = options;
  const file = path === undefined ? undefined : new LiveFiles().facts(path);
  if (path !== undefined && file === undefined) {
    sayIrregular(path, options);
    return;
  }
  const asked = askedBy(options, file);
  const subject = subjectOf(options, file);
  const uses = asked.map(({ words, hooks }) => ({
    words,
    answers: hooks.map((hook): Answer => ({ hook, explanation: explainAccess(policy, { ...subject, ...hook }) })),
  }));
  if (uses.some(({ answers }) => answers.some(({ explanation }) => explanation.uncertain.length > 0))) {
    process.exitCode = 3;
  }
  if (options.json === true) {
    printJson({
      ...(path === undefined ? {} : { path, file }),
      user: subject.uid,
      group: subject.gid,
      uses: uses.map(({ words, answers }) => ({ use: words, hooks: answers.map(answerJson) })),
    });
    return;
  }
  printLine(escapeControls(titleOf(path, file, subject)));
  const withRules = options.verbose === true || options.func !== undefined;
  for (const { words, answers } of uses) {
    if (options.func === undefined) printLine(words);
    const measured = new Set<number | undefined>();
    for (const answer of answers) {
      const { measure, pcr } = answer.explanation.decision;
      printAnswer(policy, answer, { isMeasured: measure && measured.has(pcr), withRules });
      if (measure) measured.add(pcr);
    }
  }
}

function sayIrregular(path: string, { json }: ExplainOptions): void {
  if (json === true) printJson({ path, file: null, uses: [] });
  else printLine(escapeControls(`${path}: no regular file, and IMA looks at no other (process_measurement)`));
}

/** What of the file, or of the one function that was named, is asked. */
function askedBy({ func, mask }: ExplainOptions, file: FileFacts | undefined): readonly Asked[] {
  if (func !== undefined) return [{ words: 'is asked for', hooks: [hookOf(func, mask)] }];
  if (file === undefined)
    throw new UsageError('nothing is asked', 'name a file with --path, or a function with --func');
  if (mask !== undefined) return [{ words: 'is opened', hooks: [{ func: 'FILE_CHECK', mask: parseMask(mask) }] }];
  const usual = usesOf(file.kind).filter(({ name }) => file.kind !== 'other' || name === 'read' || name === 'write');
  return usual.slice(0, 2).map((use) => ({ words: use.words, hooks: hooksOf(use, file.kind) }));
}

function hookOf(name: string, mask: string | undefined): Hook {
  const func = FUNCS.find((one) => one === name);
  if (func === undefined) throw new UsageError(`there is no function '${name}'`, `it is one of ${FUNCS.join(', ')}`);
  if (mask !== undefined) return { func, mask: parseMask(mask) };
  const usual = FILE_USES.flatMap(({ hooks }) => hooks).find((hook) => hook.func === func && func !== 'FILE_CHECK');
  return { func, mask: usual?.mask ?? (func === 'FILE_CHECK' ? MAY.MAY_READ : 0) };
}

function parseMask(text: string): number {
  const names = text.split(/[|,]/);
  return names.reduce((mask, name) => {
    const bit = Object.entries(MAY).find(([known]) => known === name)?.[1];
    if (bit === undefined)
      throw new UsageError(`there is no mask '${name}'`, `it is of ${Object.keys(MAY).join(', ')}`);
    return mask | bit;
  }, 0);
}

type Subject = Omit<PolicyAccess, 'func' | 'mask'>;

function subjectOf({ user, group, data, label }: ExplainOptions, file: FileFacts | undefined): Subject {
  const { uid, gid: primary } = user === undefined ? { uid: 0, gid: 0 } : parseUser(user);
  const gid = group === undefined ? primary : parseGroup(group);
  const { kind: _, ...inode } = file ?? { kind: 'other' };
  return {
    ...inode,
    uid,
    euid: uid,
    gid,
    egid: gid,
    ...(data === undefined ? {} : { data }),
    ...(label === undefined ? {} : { labels: Object.fromEntries(label.map(parseLabel)) }),
  };
}

function parseLabel(text: string): [string, string] {
  const at = text.indexOf('=');
  const name = LABEL_CONDITIONS.find((one) => one === text.slice(0, at));
  if (name === undefined) {
    throw new UsageError(
      `--label ${text} is no condition`,
      `write it as obj_type=bin_t; ${LABEL_CONDITIONS.join(', ')}`,
    );
  }
  return [name, text.slice(at + 1)];
}

const KIND_WORDS: Readonly<Record<FileFacts['kind'], string>> = {
  program: 'a program',
  script: 'a script',
  interpreter: 'an interpreter of ELF files',
  library: 'a library',
  module: 'an object file, as kernel modules are',
  other: 'a file',
};

function titleOf(path: string | undefined, file: FileFacts | undefined, { uid, gid }: Subject): string {
  const asks = `asked by user ${uid}, group ${gid}`;
  if (path === undefined || file === undefined) return asks;
  const magic = `0x${file.fsMagic?.toString(16)}`;
  const system = `${file.fsName ?? 'a file system'} (${magic})${file.fsUuid === undefined ? '' : ` ${file.fsUuid}`}`;
  return `${path}: ${KIND_WORDS[file.kind]} on ${system}, of user ${file.owner}, group ${file.group}; ${asks}`;
}

const DONE: Readonly<Record<Duty, string>> = {
  measure: 'measured',
  appraise: 'appraised',
  audit: 'audited',
  hash: 'hashed',
};

interface Showing {
  /** By a hook before it, into the same PCR: the list has no second entry. */
  readonly isMeasured: boolean;
  readonly withRules: boolean;
}

function printAnswer(policy: CompiledPolicy, { hook, explanation }: Answer, { isMeasured, withRules }: Showing): void {
  const said = DUTIES.filter((duty) => policy.duties.has(duty)).map((duty) => {
    const words = dutyWords(duty, explanation);
    return duty === 'measure' && isMeasured ? `${words} (and is already)` : words;
  });
  const words = said.length === 0 ? 'no rule asks for anything' : said.join('; ');
  const asked = hook.mask === 0 ? hook.func : `${hook.func} ${maskText(hook.mask)}`;
  printLine(escapeControls(`  ${asked}: ${words}`));
  if (!withRules) return;
  const rows = explanation.outcomes.map(({ placed, outcome }) => [
    `    ${placeOf(placed)}`,
    formatRule(placed.rule),
    outcomeWords(outcome),
  ]);
  for (const line of formatTable(rows).split('\n')) printLine(escapeControls(line));
}

function dutyWords(duty: Duty, { decision, uncertain }: Explanation): string {
  const rule = decision.rules[duty];
  const done = `${decision[duty] ? '' : 'not '}${DONE[duty]}`;
  const why = rule === undefined ? 'no rule matches' : `${placeOf(rule)} ${formatRule(rule.rule)}`;
  const doubt = uncertain.includes(duty) ? ', unless a rule of which that is not known matches' : '';
  return `${done}: ${why}${doubt}`;
}

function outcomeWords(outcome: RuleOutcome): string {
  switch (outcome.kind) {
    case 'decides':
      return 'decides';
    case 'other-func':
      return 'is about another function';
    case 'differs':
      return outcome.conditions.map(({ condition, found }) => `${condition} does not hold: ${found}`).join(', ');
    case 'unknown':
      return `not known: ${outcome.conditions.join(', ')}`;
    case 'too-late':
      return `${placeOf(outcome.by)} decides before it`;
    case 'idle':
      return 'no rule asks for what it forbids';
  }
}

function answerJson({ hook, explanation }: Answer): object {
  const { decision, outcomes, uncertain } = explanation;
  const duties = DUTIES.map((duty) => {
    const rule = decision.rules[duty];
    const told = { done: decision[duty], certain: !uncertain.includes(duty), rule: rule ? ruleJson(rule) : null };
    return [duty, told];
  });
  const { appraiseType, verity, permitDirectio, appraiseAlgos, pcr, template } = decision;
  return {
    func: hook.func,
    mask: maskText(hook.mask),
    ...Object.fromEntries(duties),
    how: { appraiseType, verity, permitDirectio, appraiseAlgos, pcr, template },
    rules: outcomes.map(({ placed, outcome }) => ({
      ...ruleJson(placed),
      outcome: outcome.kind === 'too-late' ? { kind: outcome.kind, by: ruleJson(outcome.by) } : outcome,
    })),
  };
}
