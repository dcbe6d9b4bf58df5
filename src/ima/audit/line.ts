/**
 * Lines that hold records: the audit log's, the kernel log's, syslog's. Only where the record is what the line is about: a
 * record that another program's message quotes is that program's word. In syslog's text any process can pretend to be the
 * kernel; the journal's fields say who it was.
 */
import { ParseError } from '../../bytes/index.ts';
import { parseIntegrityRecord } from './parse.ts';
import { type AuditStamp, type IntegrityRecord, type IntegrityType, integrityType } from './record.ts';

export interface AuditRecord {
  readonly kind: 'record';
  /** Undefined where a line of the journal's text does not tell. */
  readonly stamp: AuditStamp | undefined;
  readonly record: IntegrityRecord;
  /** The record as it was found, one character a byte. */
  readonly text: string;
  /** The machine, where a log that many send to names it. */
  readonly node?: string;
}

/** A record of the integrity subsystem that cannot be read: cut off, changed, or of a form that no kernel writes. */
export interface UnreadableRecord {
  readonly kind: 'unreadable';
  readonly stamp: AuditStamp | undefined;
  /** Undefined where not even that can be read. */
  readonly type: IntegrityType | undefined;
  /** Its offset is in `text`. */
  readonly error: ParseError;
  readonly text: string;
}

/** Records were dropped before they came to this log; of which kind is not known. */
export interface LostRecords {
  readonly kind: 'lost';
  /** Undefined where nothing says how many. */
  readonly count: number | undefined;
}

export type AuditFind = AuditRecord | UnreadableRecord | LostRecords;

/** dmesg puts the time before, journald and syslog date, machine and sender. */
const SYSLOG = String.raw`(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?|\d{4}-\d\d-\d\dT\S{8,24}) \S+ `;
/** `dmesg -r` and /dev/kmsg begin with numbers, `dmesg -x` with facility and level. */
const RING = String.raw`(?:<\d{1,4}>|\d+,\d+,\d+,[^;]{1,40};)?(?:\w+ *: *\w+ *: )?(?:\[[^\]]{1,40}\] ?)?`;
const KERNEL_MESSAGE = new RegExp(String.raw`^(?:${SYSLOG}kernel: )?${RING}(?:audit: )?type=(?<type>\S+) (?=audit\()`);
const AUDIT_LOG = new RegExp(
  String.raw`^(?:${SYSLOG}(?:audispd|audisp-syslog|auditd)(?:\[\d+\])?: (?:\w+ )?)?(?:node=(?<node>\S+) )?type=(?<type>\S+) msg=(?=audit\()`,
);
/** What journalctl prints of a record that came to journald over netlink. */
const JOURNAL_TEXT = new RegExp(String.raw`^${SYSLOG}audit(?:\[\d+\])?: (?<type>[A-Z]\S+) `);

/** kernel: `audit.c:kauditd_printk_skb` through printk_ratelimit; `audit_log_lost`, which counts since boot. */
const SUPPRESSED = new RegExp(
  String.raw`^(?:${SYSLOG}kernel: )?${RING}k?audit(?:d?)_printk_skb: (?<count>\d{1,9}) callbacks suppressed`,
);
const LOST = new RegExp(String.raw`^(?:${SYSLOG}kernel: )?${RING}audit: audit_lost=\d+ `);

/** auditd's `log_format = ENRICHED` puts names for the numbers behind the record (libaudit: AUDIT_INTERP_SEPARATOR). */
const ENRICHMENT = '\x1d';

/**
 * @param line one character a byte (latin1), without its end
 * @returns undefined for a line about something else
 */
export function parseAuditLine(line: string): AuditFind | undefined {
  for (const form of [AUDIT_LOG, KERNEL_MESSAGE]) {
    const match = form.exec(line);
    const type = integrityType(match?.groups?.type ?? '');
    if (match !== null && type !== undefined) {
      const end = line.indexOf(ENRICHMENT);
      const found = parseStamped(type, line.slice(match[0].length, end < 0 ? line.length : end).trimEnd());
      const node = match.groups?.node;
      return found.kind === 'record' && node !== undefined ? { ...found, node } : found;
    }
  }
  const journal = JOURNAL_TEXT.exec(line);
  const type = integrityType(journal?.groups?.type ?? '');
  if (journal !== null && type !== undefined)
    return parseBody(type, undefined, line.slice(journal[0].length).trimEnd(), 0);
  return parseLoss(line);
}

function parseLoss(line: string): LostRecords | undefined {
  const count = SUPPRESSED.exec(line)?.groups?.count;
  if (count !== undefined) return { kind: 'lost', count: Number(count) };
  return LOST.test(line) ? { kind: 'lost', count: undefined } : undefined;
}

const STAMP = /^audit\((\d{1,12})\.(\d{3}):(\d{1,10})\): ?/;

/** @param text begins `audit(`, as the kernel hands it to its listeners */
export function parseStamped(type: IntegrityType, text: string): AuditRecord | UnreadableRecord {
  const match = STAMP.exec(text);
  if (match === null) {
    const error = new ParseError('parse.invalid', 'audit record', 0, STAMP_FAULT);
    return { kind: 'unreadable', stamp: undefined, type, error, text };
  }
  const [head, seconds, millis, serial] = match;
  const stamp = { seconds: Number(seconds), millis: Number(millis), serial: Number(serial) };
  return parseBody(type, stamp, text, head.length);
}

const STAMP_FAULT =
  'no audit(seconds.millis:serial): as ausearch -i rewrites records, names cannot be told from other words; take ausearch --raw';

/** @param start where the record's text begins in `text` */
export function parseBody(
  type: IntegrityType,
  stamp: AuditStamp | undefined,
  text: string,
  start: number,
): AuditRecord | UnreadableRecord {
  try {
    return { kind: 'record', stamp, record: parseIntegrityRecord(type, text, start), text };
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    return { kind: 'unreadable', stamp, type, error, text };
  }
}
