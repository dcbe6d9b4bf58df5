/**
 * A record's text, a line of `name=value` words, taken apart. The kernel quotes what it did not choose itself, or writes it
 * in hex, so that no space comes from a file's or a process's name. Two values may hold spaces: a cause (`signed policy
 * required`), and the security context of the process, which stands before the operation: an AppArmor profile may be
 * called `x op=y cause=z`. So the last operation of a text is the kernel's; of every other word the first.
 */
import { fromHex, ParseError } from '../../bytes/index.ts';
import type {
  AuditTask,
  EvmXattrRecord,
  FileHashRecord,
  IntegrityRecord,
  IntegrityType,
  OperationRecord,
  OperationType,
  PolicyRuleRecord,
} from './record.ts';
import { parseUntrusted } from './untrusted.ts';

/** Records have a few hundred bytes; a path may be 4096, written in hex. */
const MAX_RECORD = 16384;

const WHAT = 'audit record';

/**
 * @param text one character a byte (latin1)
 * @param start where the record begins in it, behind `audit(…): `
 * @throws {ParseError} with the offset in `text`: for text that ends before the record does (printk cuts long ones), and for
 *   a value that is not as the kernel writes it
 */
export function parseIntegrityRecord(type: IntegrityType, text: string, start = 0): IntegrityRecord {
  if (text.length - start > MAX_RECORD) {
    throw new ParseError('parse.too-large', WHAT, start + MAX_RECORD, `${text.length - start} characters`);
  }
  switch (type) {
    case 'INTEGRITY_RULE':
      return text.startsWith('file=', start) ? fileHash(text, start) : policyRule(type, text, start);
    case 'INTEGRITY_POLICY_RULE':
      return policyRule(type, text, start);
    case 'INTEGRITY_EVM_XATTR':
      return evmXattr(text, start);
    default:
      return operation(type, text, start);
  }
}

interface Value {
  readonly value: string;
  /** Of the value in the record's text. */
  readonly at: number;
}

type Words = ReadonlyMap<string, Value>;

/** Words of `text` from `start` to `end`. */
function wordsOf(text: string, start: number, end = text.length): Words {
  const words = new Map<string, Value>();
  for (const { 0: word, index } of text.slice(start, end).matchAll(/[^ ]+/g)) {
    const equals = word.indexOf('=');
    if (!/^[a-z_]+$/.test(word.slice(0, Math.max(equals, 0)))) {
      throw new ParseError('parse.invalid', WHAT, start + index, 'a word that is not name=value');
    }
    const name = word.slice(0, equals);
    if (!words.has(name)) words.set(name, { value: word.slice(equals + 1), at: start + index + equals + 1 });
  }
  return words;
}

function operation(type: OperationType, text: string, start: number): OperationRecord {
  const { at, op, cause, rest } = operationOf(text, start);
  const { words: head, subj } = headOf(text, start, at);
  const tail = wordsOf(text, rest);
  const name = tail.get('name');
  const comm = tail.get('comm');
  const res = tail.get('res');
  if (comm === undefined || res === undefined) {
    throw new ParseError('parse.truncated', WHAT, text.length, 'it ends before the result');
  }
  return {
    kind: 'operation',
    type,
    ...numbersOf(head, ['pid', 'uid', 'auid', 'ses']),
    ...(subj === undefined ? {} : { subj }),
    op,
    cause,
    comm: parseUntrusted(comm.value, comm.at),
    ...(name === undefined ? {} : { name: parseUntrusted(name.value, name.at) }),
    ...deviceOf(tail),
    succeeded: parseResult(res),
    ...numbersOf(tail, ['errno']),
  };
}

const OPERATION = /op=("[^"]*"|[^ ]+) cause=("[^"]*"|.*?) (?=comm=)/y;

/** Operation and cause: bare, or in quotes (kernels before 5.9). */
function operationOf(text: string, start: number): { at: number; op: string; cause: string; rest: number } {
  const at = text.lastIndexOf(' op=') + 1;
  if (at < start || !text.startsWith('op=', at)) {
    throw new ParseError('parse.invalid', WHAT, start, 'it names no operation');
  }
  OPERATION.lastIndex = at;
  const match = OPERATION.exec(text);
  if (match === null) throw new ParseError('parse.truncated', WHAT, text.length, 'it ends before the cause does');
  const [whole, op = '', cause = ''] = match;
  return { at, op: unquoted(op), cause: unquoted(cause), rest: at + whole.length };
}

const unquoted = (value: string): string => /^"(.*)"$/s.exec(value)?.[1] ?? value;

const CONTEXT = ' subj=';

/** What tells of the process; its security context is the last of it. */
function headOf(text: string, start: number, end: number): { words: Words; subj: string | undefined } {
  const found = text.slice(0, end).indexOf(CONTEXT, start);
  if (found < 0) return { words: wordsOf(text, start, end), subj: undefined };
  return { words: wordsOf(text, start, found), subj: text.slice(found + CONTEXT.length, end).trimEnd() };
}

function deviceOf(words: Words): Pick<OperationRecord, 'dev' | 'ino'> {
  const [dev, ino] = [words.get('dev'), words.get('ino')];
  return {
    // Bare in the first kernels.
    ...(dev === undefined ? {} : { dev: dev.value.startsWith('"') ? unquoted(dev.value) : dev.value }),
    ...(ino === undefined ? {} : { ino: parseInode(ino) }),
  };
}

function fileHash(text: string, start: number): FileHashRecord {
  const { words, subj } = headOf(text, start, text.length);
  const [file, hash] = [words.get('file'), words.get('hash')];
  if (file === undefined || hash === undefined) {
    throw new ParseError('parse.truncated', WHAT, text.length, 'it ends before the digest');
  }
  return {
    kind: 'file-hash',
    type: 'INTEGRITY_RULE',
    file: parseUntrusted(file.value, file.at),
    ...parseHash(hash),
    task: taskOf(text, words, subj),
  };
}

function parseHash({ value, at }: Value): Pick<FileHashRecord, 'algorithm' | 'digest'> {
  const parts = /^"(?:([a-z0-9-]+):)?((?:[0-9a-f]{2})+)"$/.exec(value);
  if (parts === null) throw new ParseError('parse.invalid', WHAT, at, 'a hash that is not "algorithm:hex"');
  const [, algorithm, digest = ''] = parts;
  return { ...(algorithm === undefined ? {} : { algorithm }), digest: fromHex(digest, WHAT) };
}

const TASK_NUMBERS = [
  'ppid',
  'pid',
  'auid',
  'uid',
  'gid',
  'euid',
  'suid',
  'fsuid',
  'egid',
  'sgid',
  'fsgid',
  'ses',
] as const;

function taskOf(text: string, words: Words, subj: string | undefined): AuditTask {
  const [tty, comm, exe] = [words.get('tty'), words.get('comm'), words.get('exe')];
  if (exe === undefined) throw new ParseError('parse.truncated', WHAT, text.length, 'it ends before the program');
  return {
    ...numbersOf(words, TASK_NUMBERS),
    ...(tty === undefined ? {} : { tty: tty.value }),
    ...(comm === undefined ? {} : { comm: parseUntrusted(comm.value, comm.at) }),
    ...(exe.value === '(null)' ? {} : { exe: parseUntrusted(exe.value, exe.at) }),
    ...(subj === undefined ? {} : { subj }),
  };
}

/** The words of a rule, each followed by a space: `action=measure func=BPRM_CHECK uid>1000 res=1`; old kernels quote values. */
function policyRule(type: PolicyRuleRecord['type'], text: string, start: number): PolicyRuleRecord {
  const words = text
    .slice(start)
    .split(' ')
    .filter((word) => word !== '');
  const last = /^res=([01])$/.exec(words.at(-1) ?? '');
  if (last === null) throw new ParseError('parse.truncated', WHAT, text.length, 'it ends before the result');
  return { kind: 'policy-rule', type, rule: words.slice(0, -1).map(ruleWord).join(' '), accepted: last[1] === '1' };
}

/** The action and a word that the kernel does not know stand in the rule without a name. */
function ruleWord(word: string): string {
  const [, name = '', operator = '', value = word] = /^(\w+)([=<>])(.*)$/s.exec(word) ?? [];
  const plain = unquoted(value);
  return name === 'action' || name === 'UNKNOWN' ? plain : `${name}${operator}${plain}`;
}

function evmXattr(text: string, start: number): EvmXattrRecord {
  const words = wordsOf(text, start);
  const [xattr, res] = [words.get('xattr'), words.get('res')];
  if (res === undefined) throw new ParseError('parse.truncated', WHAT, text.length, 'it ends before the result');
  return {
    kind: 'evm-xattr',
    type: 'INTEGRITY_EVM_XATTR',
    ...(xattr === undefined ? {} : { xattr: parseUntrusted(xattr.value, xattr.at) }),
    errno: parseNumber(res),
  };
}

function numbersOf<Name extends string>(words: Words, names: readonly Name[]): { readonly [name in Name]?: number } {
  const numbers: { [name in Name]?: number } = {};
  for (const name of names) {
    const word = words.get(name);
    if (word !== undefined) numbers[name] = parseNumber(word);
  }
  return numbers;
}

function parseNumber({ value, at }: Value): number {
  if (!/^(?:\d{1,10}|-\d{1,10})$/.test(value)) throw new ParseError('parse.invalid', WHAT, at, 'no number');
  return Number(value);
}

function parseInode({ value, at }: Value): bigint {
  if (!/^\d{1,20}$/.test(value)) throw new ParseError('parse.invalid', WHAT, at, 'no inode number');
  return BigInt(value);
}

function parseResult({ value, at }: Value): boolean {
  if (value !== '0' && value !== '1')
    throw new ParseError('parse.invalid', WHAT, at, 'a result that is neither 0 nor 1');
  return value === '1';
}
