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
/** `sha256:` and its NUL, before the digest. */
const ALGORITHM_SIZE = 8;
const DIGEST_SIZE = 32;

/** What an `ima-ng` entry says. */
export interface NewEntry {
  /** Name as bytes: an absolute path, or `boot_aggregate`. */
  readonly path: Uint8Array;
  readonly sha256: Uint8Array;
}

/**
 * An `ima-ng` entry in the kernel's binary form. Made from bytes and not from text, so that any name the kernel gives has
 * an entry.
 */
export function encodeEntry(entry: NewEntry): EncodedEntry {
  const name = Buffer.concat([listedName(entry.path), Buffer.of(0)]);
  return encodeImaEntry({ pcr: IMA_PCR, template: TEMPLATE, fields: [digestField('sha256', entry.sha256), name] });
}

/** A name as lists have it: `_` for each space, as the kernel writes it (ima_template_lib.c:ima_write_template_field_data). */
export function listedName(path: Uint8Array): Buffer {
  return Buffer.from(path.map((byte) => (byte === SPACE ? UNDERSCORE : byte)));
}

/** Identity of an entry: name as listed, and digest. */
export function entryKey(entry: NewEntry): string {
  return Buffer.concat([entry.sha256, listedName(entry.path)]).toString('latin1');
}

export interface WrittenEntry {
  readonly key: string;
  readonly data: Uint8Array;
}

export interface ReadList {
  readonly entries: readonly WrittenEntry[];
  /** Bytes of those entries; what follows is torn: no whole entry of ours, or one with a wrong template digest. */
  readonly wholeBytes: number;
}

/** Reads a list that {@link encodeEntry} wrote, up to the first byte that it cannot have written. Never fails. */
export function readEntries(list: Buffer): ReadList {
  const scanner = new EntryScanner(TEMPLATE_DIGEST_SIZE);
  const entries: WrittenEntry[] = [];
  let at = 0;
  while (at < list.length && standsOnOurs(scanner, list, at)) {
    const data = templateData(list, scanner);
    const path = data.subarray(4 + ALGORITHM_SIZE + DIGEST_SIZE + 4, -1);
    const sha256 = data.subarray(4 + ALGORITHM_SIZE, 4 + ALGORITHM_SIZE + DIGEST_SIZE);
    entries.push({ key: entryKey({ path, sha256 }), data });
    at = scanner.end;
  }
  return { entries, wholeBytes: at };
}

function standsOnOurs(scanner: EntryScanner, list: Buffer, at: number): boolean {
  try {
    if (!scanner.next(list, at)) return false;
  } catch {
    return false;
  }
  const stored = list.subarray(scanner.digestStart, scanner.digestStart + TEMPLATE_DIGEST_SIZE);
  const isIntact = digest(TEMPLATE_DIGEST, templateData(list, scanner)).equals(stored);
  return isIntact && scanner.pcr === IMA_PCR && scanner.layout.name === TEMPLATE;
}
