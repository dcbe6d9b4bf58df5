import { digest } from '../../bytes/index.ts';
import {
  digestField,
  type EncodedEntry,
  EntryScanner,
  encodeEntry as encodeImaEntry,
  templateData,
} from '../../ima/index.ts';

/** The PCR that Linux keeps for IMA. */
export const IMA_PCR = 10;

/** As in the kernel's default list: template digests are SHA-1, whatever the banks. */
const TEMPLATE_DIGEST = 'sha1';
const TEMPLATE_DIGEST_SIZE = 20;
const TEMPLATE = 'ima-ng';
const SPACE = 0x20;
const UNDERSCORE = 0x5f;

/** What an `ima-ng` entry says. */
export interface NewEntry {
  /** Name as bytes: an absolute path, or `boot_aggregate`. */
  readonly path: Uint8Array;
  readonly sha256: Uint8Array;
}

/** What an entry of any template says. */
export interface TemplateEntry {
  readonly pcr: number;
  readonly template: string;
  /** One value for each field of the template. */
  readonly fields: readonly Uint8Array[];
  /** What was measured may not be what was used: zeros in the list, ones for the PCR. */
  readonly isViolation: boolean;
}

/** An entry ready for list and PCR. */
export interface ListedEntry extends EncodedEntry {
  readonly pcr: number;
  readonly isViolation: boolean;
  /** Identity of an entry: as in the kernel, the same is listed once; not so a violation, which happens each time anew. */
  readonly key: string;
}

/**
 * An `ima-ng` entry in the kernel's binary form. Made from bytes and not from text, so that any name the kernel gives has
 * an entry.
 */
export function encodeEntry({ path, sha256 }: NewEntry): ListedEntry {
  const name = Buffer.concat([listedName(path), Buffer.of(0)]);
  const fields = [digestField('sha256', sha256), name];
  return encodeTemplateEntry({ pcr: IMA_PCR, template: TEMPLATE, fields, isViolation: false });
}

/** @throws {ImaError} `ima.invalid-argument` for fields that the template does not have */
export function encodeTemplateEntry({ pcr, template, fields, isViolation }: TemplateEntry): ListedEntry {
  const encoded = encodeImaEntry({ pcr, template, fields, violation: isViolation });
  return { ...encoded, pcr, isViolation, key: keyOf(pcr, encoded.templateData) };
}

/** ima_queue.c:ima_lookup_digest_entry: by PCR and the digest of the template's data. */
function keyOf(pcr: number, data: Uint8Array): string {
  return `${pcr} ${digest('sha256', data).toString('latin1')}`;
}

/** A name as lists have it: `_` for each space, as the kernel writes it (ima_template_lib.c:ima_write_template_field_data). */
export function listedName(path: Uint8Array): Buffer {
  return Buffer.from(path.map((byte) => (byte === SPACE ? UNDERSCORE : byte)));
}

export interface WrittenEntry {
  readonly key: string;
  readonly pcr: number;
  readonly isViolation: boolean;
  readonly data: Uint8Array;
}

export interface ReadList {
  readonly entries: readonly WrittenEntry[];
  /** Bytes of those entries; what follows is torn: no whole entry of ours, or one with a wrong template digest. */
  readonly wholeBytes: number;
}

/** Reads a list that was written here, up to the first byte that cannot have been. Never fails. */
export function readEntries(list: Buffer): ReadList {
  const scanner = new EntryScanner(TEMPLATE_DIGEST_SIZE);
  const entries: WrittenEntry[] = [];
  let at = 0;
  while (at < list.length) {
    const entry = entryAt(scanner, list, at);
    if (entry === undefined) break;
    entries.push(entry);
    at = scanner.end;
  }
  return { entries, wholeBytes: at };
}

function entryAt(scanner: EntryScanner, list: Buffer, at: number): WrittenEntry | undefined {
  try {
    if (!scanner.next(list, at)) return undefined;
  } catch {
    return undefined;
  }
  const { pcr, layout } = scanner;
  const stored = list.subarray(scanner.digestStart, scanner.digestStart + TEMPLATE_DIGEST_SIZE);
  const data = templateData(list, scanner);
  const isViolation = stored.every((byte) => byte === 0);
  const isOurs = layout.fields !== undefined && (isViolation || digest(TEMPLATE_DIGEST, data).equals(stored));
  return isOurs ? { key: keyOf(pcr, data), pcr, isViolation, data } : undefined;
}
