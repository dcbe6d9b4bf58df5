/**
 * The text of a policy, taken apart as the kernel does (ima_policy.c:ima_parse_add_rule, ima_parse_rule), with the place of
 * each word. Any bytes give rules or faults with their place.
 */
import { decodePath, encodePath } from '../path.ts';
import { PolicyError, type PolicyFault } from './error.ts';
import { INLINE_COMMENTS, isBefore, type KernelVersion, kernelName, NEWEST_KERNEL, SINCE } from './kernel.ts';
import { nearest } from './nearest.ts';
import { COMPARED, newerThan, OPTION_READERS, type Refusal, type RuleDraft } from './options.ts';
import { ACTIONS, type IdOperator, type PlacedRule, type PolicyAction, type PolicyOption } from './rule.ts';
import { whyIncompatible } from './validate.ts';

/** Assay's own bound; the kernel has none for a file that it reads itself. */
export const MAX_POLICY_SIZE = 1 << 20;
/** In bytes: ima_fs.c:ima_write_policy takes PAGE_SIZE - 1 of a write, and reads the rest as another rule. */
export const MAX_RULE_SIZE = 4095;
/** More are counted as found; nobody mends more at once. */
const MAX_FAULTS = 100;

export interface ParseOptions {
  /** Whose language it is; left out: the newest. */
  readonly kernel?: KernelVersion;
  /** What {@link PlacedRule} says that the rules are of; left out: `policy`. */
  readonly source?: string;
}

/** A line of a policy. */
export type PolicyLine =
  | { readonly kind: 'blank'; readonly line: number }
  /** With its `#`, without the space before it. */
  | { readonly kind: 'comment'; readonly line: number; readonly text: string }
  | RuleLine;

export interface RuleLine {
  readonly kind: 'rule';
  readonly line: number;
  readonly placed: PlacedRule;
  /** Where each option stands, counted in characters from 1; of one that is said again, the last. */
  readonly columns: ReadonlyMap<PolicyOption, number>;
  /** Options of which the kernel takes the last word and forgets the one before. */
  readonly forgotten: readonly PolicyOption[];
  /** What stands behind the rule, from its `#` on. */
  readonly comment?: string;
}

/** All of a policy that could be read, and what is wrong with it. */
export interface PolicyText {
  readonly lines: readonly PolicyLine[];
  readonly faults: readonly PolicyFault[];
  /** The last line has no newline: the kernel refuses such a file where it reads it itself (ima_fs.c:ima_read_policy). */
  readonly endsInLine: boolean;
}

/**
 * Reads as far as it can, for one who wants every fault at once. A line with a fault is in no rule.
 * @throws {PolicyError} `policy.too-large` for more than {@link MAX_POLICY_SIZE} bytes
 */
export function readPolicy(bytes: Uint8Array, options: ParseOptions = {}): PolicyText {
  if (bytes.length > MAX_POLICY_SIZE) {
    const size = `${bytes.length} bytes are too long for a policy, which has at most ${MAX_POLICY_SIZE}`;
    throw new PolicyError('policy.too-large', size, 'is it a policy?');
  }
  const text = decodePath(bytes);
  const contents = text.split('\n');
  const endsInLine = contents.at(-1) !== '';
  if (!endsInLine) contents.pop();
  const lines: PolicyLine[] = [];
  const faults: PolicyFault[] = [];
  for (const [index, content] of contents.entries()) {
    const read = readLine(content, index + 1, options);
    if ('code' in read) faults.push(read);
    else lines.push(read);
    if (faults.length === MAX_FAULTS) break;
  }
  if (faults.length === 0 && !lines.some(({ kind }) => kind === 'rule')) faults.push(EMPTY);
  return { lines, faults, endsInLine: endsInLine && text !== '' };
}

const EMPTY: PolicyFault = {
  code: 'policy.empty',
  line: 1,
  column: 1,
  message: 'there is no rule',
  kernel: 'ima_policy.c:ima_check_policy',
  advice: 'the kernel takes no empty policy',
};

/**
 * The rules of a policy that the kernel would take.
 * @throws {PolicyError} with the first fault's line, column and the kernel's rule, and all that were found
 */
export function parsePolicy(bytes: Uint8Array, options: ParseOptions = {}): PlacedRule[] {
  const { lines, faults } = readPolicy(bytes, options);
  const [first, ...others] = faults;
  if (first !== undefined) throw PolicyError.of([first, ...others]);
  return lines.flatMap((line) => (line.kind === 'rule' ? [line.placed] : []));
}

interface Word {
  readonly text: string;
  readonly column: number;
}

function readLine(content: string, line: number, options: ParseOptions): PolicyLine | PolicyFault {
  const size = content.length * 3 <= MAX_RULE_SIZE ? 0 : encodePath(content).length;
  if (size > MAX_RULE_SIZE) return tooLong(line, size);
  const nul = content.indexOf('\0');
  if (nul >= 0) return { ...NUL, line, column: nul + 1 };
  const start = content.search(/[^ \t]/);
  if (start < 0) return { kind: 'blank', line };
  if (content[start] === '#') return { kind: 'comment', line, text: content.slice(start) };
  return readRule(content, line, options);
}

const NUL: Omit<PolicyFault, 'line' | 'column'> = {
  code: 'policy.nul',
  message: 'a NUL byte',
  kernel: 'ima_fs.c:ima_write_policy',
  advice: 'a policy is text; is this one in UTF-16?',
};

const tooLong = (line: number, size: number): PolicyFault => ({
  code: 'policy.too-large',
  line,
  column: 1,
  message: `a line of ${size} bytes is more than one write takes, which is ${MAX_RULE_SIZE}`,
  kernel: 'ima_fs.c:ima_write_policy',
  advice: 'the kernel would read the rest as another rule',
});

function readRule(content: string, line: number, options: ParseOptions): RuleLine | PolicyFault {
  const kernel = options.kernel ?? NEWEST_KERNEL;
  const draft: RuleDraft = {};
  const columns = new Map<PolicyOption, number>();
  const forgotten: PolicyOption[] = [];
  const words = wordsOf(content);
  const at = ({ code, message, kernel: place, advice }: Refusal, column: number): PolicyFault => ({
    code,
    line,
    column,
    message,
    kernel: place,
    ...(advice === undefined ? {} : { advice }),
  });
  let comment: string | undefined;
  for (const { text, column } of words) {
    if (text.startsWith('#') && !isBefore(kernel, INLINE_COMMENTS)) {
      comment = content.slice(column - 1);
      break;
    }
    const read = readWord(draft, text, kernel);
    if (typeof read === 'object') return at(read, column);
    if (read === undefined) continue;
    if (columns.has(read) && (read === 'fsname' || read === 'pcr')) forgotten.push(read);
    columns.set(read, column);
  }
  const fault = whyIncompatible(draft, columns.keys(), kernel);
  const beginning = words[0]?.column ?? 1;
  if (fault !== undefined) return at(fault, (fault.option && columns.get(fault.option)) ?? beginning);
  const { action, ...conditions } = draft;
  // whyIncompatible has seen that there is one, which the compiler cannot.
  if (action === undefined) return { ...EMPTY, line, column: beginning };
  const placed = { rule: { action, ...conditions }, source: options.source ?? 'policy', line };
  return { kind: 'rule', line, placed, columns, forgotten, ...(comment === undefined ? {} : { comment }) };
}

/** strsep(…, " \t") without the empty words. Other white space is part of a word. */
function wordsOf(content: string): Word[] {
  return [...content.matchAll(/[^ \t]+/g)].map((match) => ({ text: match[0], column: match.index + 1 }));
}

/** Takes one word into the draft. Returns the option that it was; undefined for the action. */
function readWord(draft: RuleDraft, word: string, kernel: KernelVersion): PolicyOption | Refusal | undefined {
  const action = ACTIONS.find((one) => one === word);
  if (action !== undefined) return readAction(draft, action, kernel);
  if (word === 'permit_directio') {
    draft.permitDirectio = true;
    return word;
  }
  const match = /^([^=<>]+)([=<>])(.+)$/s.exec(word);
  const [, name = '', operator = '', value = ''] = match ?? [];
  const option = OPTION_READERS.get(name);
  if (option === undefined || !isOperator(operator)) return unknownWord(word, name, kernel);
  const [known, read] = option;
  if (operator !== '=' && !COMPARED.has(known)) return unknownWord(word, name, kernel);
  return newerThan(kernel, SINCE.options[known], `${known}=`) ?? read(draft, value, kernel, operator) ?? known;
}

const isOperator = (text: string): text is IdOperator => text === '=' || text === '<' || text === '>';

function readAction(draft: RuleDraft, action: PolicyAction, kernel: KernelVersion): Refusal | undefined {
  if (draft.action !== undefined) {
    const message = `a second action, ${action} beside ${draft.action}`;
    return { code: 'policy.repeated', message, kernel: PARSE, advice: 'a rule has one action: make two rules of it' };
  }
  draft.action = action;
  return newerThan(kernel, SINCE.actions[action], action);
}

const PARSE = 'ima_policy.c:ima_parse_rule';
const WORDS: readonly string[] = [...ACTIONS, 'permit_directio', ...OPTION_READERS.keys()];

function unknownWord(word: string, name: string, kernel: KernelVersion): Refusal {
  const advice = adviceFor(word, name, kernel);
  return { code: 'policy.unknown-option', message: `'${word}' is no action and no option`, kernel: PARSE, advice };
}

function adviceFor(word: string, name: string, kernel: KernelVersion): string {
  if (word.startsWith('#')) {
    const version = kernelName(kernel);
    return `kernel ${version} takes no comment behind a rule: give it a line of its own`;
  }
  if (word.startsWith('/')) return 'a line that begins with / is taken for the path of a policy, where it is written';
  if (word.endsWith('\r')) return 'the line ends in CR LF: end it in LF alone';
  const option = word.replace(/[=<>]$/, '');
  if (OPTION_READERS.has(option)) return `${option} wants a value, as ${option}=…`;
  if (OPTION_READERS.has(name)) return `${name} is compared with = alone`;
  const meant = nearest(name === '' ? word : name, WORDS);
  return meant === undefined ? 'see Documentation/ABI/testing/ima_policy of the kernel' : `did you mean ${meant}?`;
}
