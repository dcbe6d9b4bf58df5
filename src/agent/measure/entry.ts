import { ByteWriter, digest } from '../../bytes/index.ts';
import { EntryScanner, templateData } from '../../ima/index.ts';

/** The PCR that Linux keeps for IMA. */
export const IMA_PCR = 10;

/** As in the kernel's default list: template digests are SHA-1, whatever the banks. */
const TEMPLATE_DIGEST = 'sha1';
const TEMPLATE_DIGEST_SIZE = 20;
const TEMPLATE = Buffer.from('ima-ng');
const SPACE = 0x20;
const UNDERSCORE = 0x5f;
const ALGORITHM = Buffer.from('sha256:\0');

/** What an `ima-ng` entry says. */
export interface NewEntry {
  /** Name as bytes: an absolute path, or `boot_aggregate`. */
  readonly path: Uint8Array;
  readonly sha256: Uint8Array;
}

/** One entry of the list in the kernel's binary form, and what its PCR is extended with. */
export interface EncodedEntry {
  readonly bytes: Uint8Array;
  /** Template data: each bank is extended with its hash. */
  readonly data: Uint8Array;
}

/**
 * pcr ‖ SHA-1 of the template data ‖ `ima-ng` ‖ template data = d-ng ‖ n-ng, each with its length; integers little endian.
 * Kernel: ima_fs.c:ima_measurements_show, ima_template_lib.c.
 */
export function encodeEntry(entry: NewEntry): EncodedEntry {
  const name = Buffer.concat([listedName(entry.path), Buffer.of(0)]);
  const data = new ByteWriter(64 + name.length)
    .u32le(ALGORITHM.length + entry.sha256.length)
    .bytes(ALGORITHM)
    .bytes(entry.sha256)
    .u32le(name.length)
    .bytes(name)
    .finish();
  const bytes = new ByteWriter(64 + data.length)
    .u32le(IMA_PCR)
    .bytes(digest(TEMPLATE_DIGEST, data))
    .u32le(TEMPLATE.length)
    .bytes(TEMPLATE)
    .u32le(data.length)
    .bytes(data)
    .finish();
  return { bytes, data };
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
    const path = data.subarray(8 + ALGORITHM.length + 32, -1);
    const sha256 = data.subarray(4 + ALGORITHM.length, 4 + ALGORITHM.length + 32);
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
  return isIntact && scanner.pcr === IMA_PCR && scanner.layout.name === 'ima-ng';
}
