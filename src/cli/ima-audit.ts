/** `assay ima audit`: what the integrity subsystem told the audit log, each record explained. */
import type { Command } from 'commander';
import { toHex } from '../bytes/index.ts';
import {
  type AuditExplanation,
  type AuditRecord,
  type AuditStamp,
  type AuditTask,
  type AuditWeight,
  decodePath,
  explainRecord,
  type IntegrityRecord,
  type LocatedFind,
  UNSET_ID,
  type UnreadableRecord,
} from '../ima/index.ts';
import { pathMatcher } from '../reference/index.ts';
import {
  type ChosenSource,
  fileSource,
  followedFile,
  followedSource,
  journalSource,
  machineSource,
} from './audit-sources.ts';
import { untilStopped } from './signals.ts';
import { escapeControls, printJson, printLine, styled } from './terminal.ts';
import { pathJson } from './tree-options.ts';
import { UsageError } from './usage-error.ts';

const HELP = `
FILE is the audit log (auditd's, ausearch --raw), the kernel's log (dmesg), syslog's, or what journalctl prints as text, JSON
or export, which is found by itself; - is standard input. Left out: this machine's audit log with those that were rotated,
else its journal, else the kernel's log. With --follow and no FILE the kernel itself is heard (as root); with FILE what it
holds comes first, and it may be rotated meanwhile.
A text log is taken at its word: in syslog's any process can call itself the kernel. The journal's fields cannot be forged so.

Each record is a line, and what it means and what to do about it stand below: docs/IMA-AUDIT.md has all. A failure under
ima_appraise=log or fix was let through. --path takes the globs of reference manifests; records that give only the last part
of a path are compared with the last part of the glob.

JSON, one object a line:
  {"kind":"record","time","serial","type","op","cause","succeeded","errno","path","dev","ino","pid","uid","auid","ses","subj",
   "comm","weight","meaning","repair","isKnown","text"}; of a rule audit "algorithm","digest" and more of the process instead
   of "op", "cause"; of a policy's rule "rule","accepted"; of an attribute of EVM "xattr","errno"
  {"kind":"unreadable","position","type","error","text"} for a record that cannot be read
  {"kind":"lost","count"} where the kernel dropped records

Exit status: 0 where no record tells of a failure or a doubt, 1 where one does, 2 for bad input, 3 where records were lost or
cannot be read, and none of the others fails.

Examples:
  assay ima audit
  assay ima audit /var/log/audit/audit.log --path '/usr/**' --failed
  assay ima audit --follow --json`;

interface Options {
  readonly follow?: boolean;
  readonly journal?: boolean;
  readonly path?: string;
  readonly failed?: boolean;
  readonly json?: boolean;
}

export function registerAudit(ima: Command): void {
  ima
    .command('audit')
    .description('Explain what IMA and EVM told the audit log: denials, violations, policies, with the repair')
    .argument('[file]', 'a log that holds such records')
    .option('--follow', 'go on with what comes, until it is stopped')
    .option('--journal', "take this machine's journal")
    .option('--path <glob>', 'only records about files that this glob matches')
    .option('--failed', 'only failures and doubts')
    .option('--json', 'print a JSON object a line')
    .addHelpText('after', HELP)
    .action(audit);
}

async function audit(file: string | undefined, options: Options): Promise<void> {
  const { source, note } = sourceOf(file, options);
  if (note !== undefined) process.stderr.write(`assay: ${escapeControls(note)}\n`);
  process.stderr.write(`assay: records of ${escapeControls(source.name)}\n`);
  const report = new Report(options);
  const stop = new AbortController();
  if (options.follow === true) void untilStopped().then(() => stop.abort());
  for await (const finds of source.read(stop.signal)) for (const find of finds) report.take(find);
  report.finish();
}

function sourceOf(file: string | undefined, { follow = false, journal }: Options): ChosenSource {
  if (journal === true) {
    if (file !== undefined) throw new UsageError('--journal is this machine’s, and a file was named', ONE_OF_THEM);
    return { source: journalSource({ follow }) };
  }
  if (file === undefined) return follow ? followedSource() : machineSource();
  if (file === '-' && follow) throw new UsageError('standard input is read to its end without --follow', ONE_OF_THEM);
  return { source: follow ? followedFile(file, 'start') : fileSource(file) };
}

const ONE_OF_THEM = 'leave one of them out';

class Report {
  readonly #options: Options;
  readonly #isAbout: (record: IntegrityRecord) => boolean;
  readonly #counts = { records: 0, bad: 0, unreadable: 0, lost: 0 };

  constructor(options: Options) {
    this.#options = options;
    this.#isAbout = options.path === undefined ? () => true : pathFilter(options.path);
  }

  take({ find, position }: LocatedFind): void {
    if (find.kind === 'record') this.#takeRecord(find);
    else if (find.kind === 'unreadable') this.#takeUnreadable(find, position);
    else this.#takeLost(find.count);
  }

  #takeRecord(found: AuditRecord): void {
    if (!this.#isAbout(found.record)) return;
    const explanation = explainRecord(found.record);
    const isBad = explanation.weight !== 'information';
    this.#counts.records += 1;
    if (isBad) this.#counts.bad += 1;
    else if (this.#options.failed === true) return;
    if (this.#options.json === true) printJson(recordJson(found, explanation));
    else printRecord(found, explanation);
  }

  #takeUnreadable(found: UnreadableRecord, position: number): void {
    this.#counts.unreadable += 1;
    const { type, stamp, error, text } = found;
    if (this.#options.json === true) {
      const { code, offset, message } = error;
      printJson({ kind: 'unreadable', position, ...stampJson(stamp), type, error: { code, offset, message }, text });
      return;
    }
    const shown = text.length <= SHOWN ? text : `${text.slice(0, SHOWN)}…`;
    printLine(`${styled('yellow', 'unreadable')}  record ${position}: ${escapeControls(`${error.message}: ${shown}`)}`);
  }

  #takeLost(count: number | undefined): void {
    this.#counts.lost += 1;
    if (this.#options.json === true) printJson({ kind: 'lost', ...(count === undefined ? {} : { count }) });
    else printLine(`${styled('yellow', 'lost')}  ${count ?? 'some'} records, of which kind is not known`);
  }

  finish(): void {
    const { bad, unreadable, lost } = this.#counts;
    if (bad > 0) process.exitCode = 1;
    else if (unreadable + lost > 0) process.exitCode = 3;
    if (this.#options.json !== true) printLine(summary(this.#counts, this.#options.path));
  }
}

/** Of an unreadable record. */
const SHOWN = 400;

interface Counts {
  readonly records: number;
  readonly bad: number;
  readonly unreadable: number;
}

function summary({ records, bad, unreadable }: Counts, glob: string | undefined): string {
  const rest = unreadable === 0 ? '' : `, ${unreadable} unreadable`;
  const which = glob === undefined ? '' : ` about ${escapeControls(glob)}`;
  if (records === 0) return `no record of the integrity subsystem${which}${rest}`;
  return `${records} ${records === 1 ? 'record' : 'records'}, ${bad} of a failure or doubt${rest}`;
}

/** The file that a record is about. */
function fileOf(record: IntegrityRecord): Uint8Array | undefined {
  if (record.kind === 'file-hash') return record.file;
  return record.kind === 'operation' ? record.name : undefined;
}

function pathFilter(glob: string): (record: IntegrityRecord) => boolean {
  const isWhole = pathMatcher(glob);
  const isLastPart = pathMatcher(glob.slice(glob.lastIndexOf('/') + 1));
  return (record) => {
    const file = fileOf(record);
    if (file === undefined) return false;
    const path = decodePath(file);
    return path.includes('/') ? isWhole(path) : isLastPart(path);
  };
}

const STYLES = { failure: 'red', doubt: 'yellow', information: 'dim' } as const satisfies Record<AuditWeight, unknown>;

function printRecord({ stamp, record, node }: AuditRecord, { weight, meaning, repair }: AuditExplanation): void {
  const words = [
    ...(stamp === undefined ? [] : [timeOf(stamp)]),
    ...(node === undefined ? [] : [node]),
    styled(STYLES[weight], weight),
    ...subjectOf(record).map((word) => escapeControls(word)),
  ];
  printLine(words.join('  '));
  printLine(`    ${escapeControls(meaning)}. ${repair}`);
}

function timeOf({ seconds, millis }: AuditStamp): string {
  const time = new Date(seconds * 1000 + millis);
  return Number.isNaN(time.getTime()) ? `${seconds}` : time.toISOString();
}

function subjectOf(record: IntegrityRecord): string[] {
  switch (record.kind) {
    case 'operation': {
      const { op, cause, name, dev, ino } = record;
      const place = dev === undefined ? '' : ` (${dev}, inode ${ino})`;
      const file = name === undefined ? [] : [`${decodePath(name)}${place}`];
      return [`${op} ${cause}`, ...file, processOf(record)];
    }
    case 'file-hash': {
      const { file, algorithm, digest, task } = record;
      return [
        'audit',
        decodePath(file),
        `${algorithm === undefined ? '' : `${algorithm}:`}${toHex(digest)}`,
        processOf(task),
      ];
    }
    case 'policy-rule':
      return [record.accepted ? 'policy rule' : 'policy rule refused', record.rule];
    default:
      return ['EVM attribute', record.xattr === undefined ? '' : decodePath(record.xattr)];
  }
}

function processOf({ comm, pid, uid, auid }: Pick<AuditTask, 'comm' | 'pid' | 'uid' | 'auid'>): string {
  const login = auid === undefined || auid === UNSET_ID ? '' : `, login ${auid}`;
  return `by ${comm === undefined ? 'a process' : decodePath(comm)} (process ${pid ?? '?'}, uid ${uid ?? '?'}${login})`;
}

function recordJson({ stamp, record, node, text }: AuditRecord, explanation: AuditExplanation): object {
  return {
    kind: 'record',
    ...stampJson(stamp),
    ...(node === undefined ? {} : { node }),
    type: record.type,
    ...fieldsJson(record),
    ...explanation,
    text,
  };
}

const stampJson = (stamp: AuditStamp | undefined): object =>
  stamp === undefined ? {} : { time: timeOf(stamp), serial: stamp.serial };

function fieldsJson(record: IntegrityRecord): object {
  switch (record.kind) {
    case 'operation': {
      const { kind: _, type, comm, name, ino, ...rest } = record;
      return {
        ...rest,
        ...(name === undefined ? {} : pathJson(name)),
        ...(ino === undefined ? {} : { ino: String(ino) }),
        comm: decodePath(comm),
      };
    }
    case 'file-hash': {
      const { comm, exe, ...task } = record.task;
      return {
        ...pathJson(record.file),
        algorithm: record.algorithm,
        digest: toHex(record.digest),
        ...task,
        ...(comm === undefined ? {} : { comm: decodePath(comm) }),
        ...(exe === undefined ? {} : { exe: decodePath(exe) }),
      };
    }
    case 'policy-rule':
      return { rule: record.rule, accepted: record.accepted };
    default:
      return { errno: record.errno, ...(record.xattr === undefined ? {} : { xattr: decodePath(record.xattr) }) };
  }
}
