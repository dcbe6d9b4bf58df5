/**
 * What the integrity subsystem tells the audit log (kernel: `security/integrity/integrity_audit.c`), a line of
 * `name=value` words. Kernels before 3.10 quoted operation and cause too.
 */
import { fromHex, ParseError } from '../bytes/index.ts';

/** Types of linux/audit.h whose records have this form. */
export const INTEGRITY_AUDIT = { data: 1800, metadata: 1801, status: 1802, hash: 1803, pcr: 1804 } as const;

export interface IntegrityRecord {
  /** `appraise_data`, `collect_data`, `add_template_measure`, … */
  readonly op: string;
  /** `invalid-hash`, `missing-HMAC`, …; as this kernel says it, so not from a closed set. */
  readonly cause: string;
  /** Where the record is about a file: bytes of its path, of which `collect_data` gives the last part alone. */
  readonly name?: Buffer;
  readonly ino?: bigint;
  /** The name of the process, as its bytes are. */
  readonly comm?: Buffer;
}

/** Records have a few hundred bytes; a path may be 4096, written in hex. */
const MAX_RECORD = 16384;

/**
 * @param text of one record of the types {@link INTEGRITY_AUDIT}
 * @throws {ParseError} for text without operation and cause, or with a value that is not as the kernel writes it
 */
export function parseIntegrityRecord(text: string): IntegrityRecord {
  if (text.length > MAX_RECORD) {
    throw new ParseError('parse.too-large', 'audit record', 0, `${text.length} characters`);
  }
  const words = wordsOf(text);
  const op = words.get('op');
  const cause = words.get('cause');
  if (op === undefined || cause === undefined) {
    throw new ParseError('parse.invalid', 'audit record', 0, 'it names no operation and cause');
  }
  const [name, comm, ino] = [words.get('name'), words.get('comm'), words.get('ino')];
  return {
    op: unquoted(op.value),
    cause: unquoted(cause.value),
    ...(name === undefined ? {} : { name: untrusted(name) }),
    ...(comm === undefined ? {} : { comm: untrusted(comm) }),
    ...(ino === undefined ? {} : { ino: number(ino) }),
  };
}

interface Word {
  readonly value: string;
  readonly at: number;
}

/** The first of a name counts: what a process chose itself stands behind what the kernel says. */
function wordsOf(text: string): ReadonlyMap<string, Word> {
  const words = new Map<string, Word>();
  for (const { 1: name = '', 2: value = '', index } of text.matchAll(/(?<=^| )([a-z]+)=("[^"]*"|[^ ]*)/g)) {
    if (!words.has(name)) words.set(name, { value, at: index });
  }
  return words;
}

const isQuoted = (value: string): boolean => value.length >= 2 && value.startsWith('"') && value.endsWith('"');
const unquoted = (value: string): string => (isQuoted(value) ? value.slice(1, -1) : value);

/** audit_log_untrustedstring: quoted where every byte is harmless, in hex otherwise. */
function untrusted({ value, at }: Word): Buffer {
  if (isQuoted(value)) return Buffer.from(value.slice(1, -1), 'latin1');
  if (!/^(?:[0-9A-F]{2})+$/.test(value)) {
    throw new ParseError('parse.invalid', 'audit record', at, 'a name that is neither quoted nor in hex');
  }
  return fromHex(value, 'audit record');
}

function number({ value, at }: Word): bigint {
  if (!/^\d{1,20}$/.test(value)) throw new ParseError('parse.invalid', 'audit record', at, `'${value}' is no inode`);
  return BigInt(value);
}
