import { ParseError } from '../bytes/index.ts';
import type { EntrySpan } from './entry.ts';
import { type TemplateLayout, templateLayout } from './template.ts';

/** Linux PCRs are 0–23 (`ima_policy.c` refuses `pcr=` above). */
export const MAX_PCR = 23;
/** Longer than 15 field names joined; a bound, so that a wrong length is refused and not waited for. */
export const MAX_TEMPLATE_NAME = 255;
/** The largest real entries carry keys, PKCS#7 or critical data of some hundred KiB. */
export const MAX_TEMPLATE_DATA = 16 * 1024 * 1024;
/** Kernel: include/linux/limits.h NAME_MAX; ima.h IMA_EVENT_NAME_LEN_MAX. */
export const LEGACY_NAME_MAX = 255;
/** The `ima` template's digest has no algorithm: SHA-1, or MD5 padded to its size. */
export const LEGACY_DIGEST_SIZE = 20;
/** A list has a handful of templates; names are the writer's, so their number is bounded. */
const MAX_LAYOUTS = 64;

export function u32(bytes: Uint8Array, at: number): number {
  // Reads inside the bounds the caller has checked; `?? 0` only satisfies noUncheckedIndexedAccess and is free.
  return (
    ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>> 0
  );
}

function nameEquals(bytes: Uint8Array, at: number, name: Uint8Array): boolean {
  for (let i = 0; i < name.length; i++) if (bytes[at + i] !== name[i]) return false;
  return true;
}

const NO_LAYOUT = templateLayout('');

/**
 * Walks a binary measurement list entry by entry, without copies and without an object for each entry: the scanner is
 * itself the span of the entry that it stands on. Entries are checked in full before they are shown: PCR, template
 * name, and for every template with known fields that the fields fill the template data exactly, as the kernel demands
 * of a list that it takes over at kexec (ima_template.c:ima_restore_measurement_list, ima_parse_buf).
 *
 * Native byte order here means little endian: x86, arm64, and any kernel with `ima_canonical_fmt`.
 */
export class EntryScanner implements EntrySpan {
  readonly templateDigestSize: number;
  readonly #layouts: TemplateLayout[] = [];
  start = 0;
  end = 0;
  pcr = 0;
  digestStart = 0;
  dataStart = 0;
  layout: TemplateLayout = NO_LAYOUT;
  violation = false;

  constructor(templateDigestSize: number) {
    this.templateDigestSize = templateDigestSize;
  }

  /**
   * Moves onto the entry at `at`.
   * @param base offset of `list` within the whole list, for errors
   * @returns false where `list` ends inside the entry; the span is then undefined
   * @throws {ParseError} for bytes that cannot be an entry, at the offending byte
   */
  next(list: Uint8Array, at: number, base = 0): boolean {
    const available = list.length - at;
    const nameLengthAt = at + 4 + this.templateDigestSize;
    if (available < 4) return false;
    const pcr = u32(list, at);
    if (pcr > MAX_PCR) throw new ParseError('parse.invalid', 'IMA entry, PCR', base + at, `there is no PCR ${pcr}`);
    if (nameLengthAt + 4 > list.length) return false;
    const nameLength = u32(list, nameLengthAt);
    if (nameLength === 0 || nameLength > MAX_TEMPLATE_NAME) {
      const detail = `a length of ${nameLength}, where 1 to ${MAX_TEMPLATE_NAME} can be`;
      throw new ParseError('parse.too-large', 'IMA entry, template name', base + nameLengthAt, detail);
    }
    const nameAt = nameLengthAt + 4;
    const nameEnd = nameAt + nameLength;
    if (nameEnd > list.length) return false;
    const layout = this.#layoutAt(list, nameAt, nameLength, base);
    const whole = layout.legacy ? this.#legacyData(list, nameEnd, base) : this.#data(list, nameEnd, layout, base);
    if (!whole) return false;
    this.start = at;
    this.pcr = pcr;
    this.digestStart = at + 4;
    this.layout = layout;
    this.violation = this.#isZero(list, at + 4);
    return true;
  }

  #layoutAt(list: Uint8Array, at: number, length: number, base: number): TemplateLayout {
    const current = this.layout;
    if (current.nameBytes.length === length && nameEquals(list, at, current.nameBytes)) return current;
    for (const known of this.#layouts) {
      if (known.nameBytes.length === length && nameEquals(list, at, known.nameBytes)) return known;
    }
    for (let i = at; i < at + length; i++) {
      const char = list[i] ?? 0;
      if (char > 0x20 && char < 0x7f) continue;
      throw new ParseError('parse.invalid', 'IMA entry, template name', base + i, 'a byte that no name has');
    }
    if (this.#layouts.length >= MAX_LAYOUTS) {
      const detail = `more than ${MAX_LAYOUTS} different templates in one list`;
      throw new ParseError('parse.too-large', 'IMA entry, template name', base + at, detail);
    }
    const layout = templateLayout(Buffer.from(list.subarray(at, at + length)).toString('latin1'));
    this.#layouts.push(layout);
    return layout;
  }

  #data(list: Uint8Array, at: number, layout: TemplateLayout, base: number): boolean {
    if (at + 4 > list.length) return false;
    const length = u32(list, at);
    if (length > MAX_TEMPLATE_DATA) {
      const detail = `a length of ${length}, above the bound of ${MAX_TEMPLATE_DATA}`;
      throw new ParseError('parse.too-large', 'IMA entry, template data', base + at, detail);
    }
    const start = at + 4;
    const end = start + length;
    if (end > list.length) return false;
    const fields = layout.fields;
    if (fields !== undefined) {
      let field = start;
      for (let i = 0; i < fields.length; i++) {
        if (field + 4 > end) failField(layout, i, base + field, 'the template data ends before it');
        const size = u32(list, field);
        if (size > end - field - 4) failField(layout, i, base + field, `${size} bytes do not fit the template data`);
        if (size > (layout.fieldLimits[i] ?? 0)) failTooLarge(layout, i, base + field, size);
        field += 4 + size;
      }
      if (field !== end)
        failField(layout, fields.length - 1, base + field, `${end - field} bytes follow the last field`);
    }
    this.dataStart = start;
    this.end = end;
    return true;
  }

  /** `ima`: 20 digest bytes without a length, then the name with one and without its NUL. */
  #legacyData(list: Uint8Array, at: number, base: number): boolean {
    const lengthAt = at + LEGACY_DIGEST_SIZE;
    if (lengthAt + 4 > list.length) return false;
    const length = u32(list, lengthAt);
    if (length > LEGACY_NAME_MAX) {
      const detail = `a length of ${length}, above ${LEGACY_NAME_MAX}`;
      throw new ParseError('parse.too-large', 'IMA entry, file name', base + lengthAt, detail);
    }
    const end = lengthAt + 4 + length;
    if (end > list.length) return false;
    this.dataStart = at;
    this.end = end;
    return true;
  }

  #isZero(list: Uint8Array, at: number): boolean {
    const end = at + this.templateDigestSize;
    for (let i = at; i < end; i++) if (list[i] !== 0) return false;
    return true;
  }
}

function failField(layout: TemplateLayout, index: number, offset: number, detail: string): never {
  const id = layout.fields?.[index] ?? '?';
  throw new ParseError('parse.invalid', `IMA entry, field ${id} of template ${layout.name}`, offset, detail);
}

function failTooLarge(layout: TemplateLayout, index: number, offset: number, size: number): never {
  const detail = `${size} bytes, where the kernel writes at most ${layout.fieldLimits[index]}`;
  throw new ParseError('parse.too-large', `IMA entry, field ${layout.fields?.[index]}`, offset, detail);
}

/** Bytes that the `ima` template hashes: the digest, then the name padded with NULs to 256. */
export function legacyTemplateData(list: Uint8Array, span: Pick<EntrySpan, 'dataStart' | 'end'>): Buffer {
  const data = Buffer.alloc(LEGACY_DIGEST_SIZE + LEGACY_NAME_MAX + 1);
  data.set(list.subarray(span.dataStart, span.dataStart + LEGACY_DIGEST_SIZE), 0);
  data.set(list.subarray(span.dataStart + LEGACY_DIGEST_SIZE + 4, span.end), LEGACY_DIGEST_SIZE);
  return data;
}

/** The bytes whose hash is the entry's template digest; a view where the list holds them as they are. */
export function templateData(list: Buffer, span: Pick<EntrySpan, 'dataStart' | 'end' | 'layout'>): Buffer {
  return span.layout.legacy ? legacyTemplateData(list, span) : list.subarray(span.dataStart, span.end);
}
