import { ByteReader, ParseError } from '../bytes/index.ts';
import type { FileDigest, TemplateFields } from './entry.ts';
import { decodePath } from './path.ts';
import { LEGACY_DIGEST_SIZE } from './scan.ts';
import { fieldLimit, type TemplateFieldId, type TemplateLayout } from './template.ts';

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

/**
 * Template data by the meaning of its fields.
 * @param data as the template digest covers it (see `templateData`)
 * @param base offset of `data` in the whole input, for errors
 * @returns undefined where the template's fields are not known
 * @throws {ParseError} for a field whose content cannot be what the field holds
 */
export function decodeFields(layout: TemplateLayout, data: Uint8Array, base = 0): TemplateFields | undefined {
  if (layout.fields === undefined) return undefined;
  const reader = new ByteReader(data, base);
  const fields: Mutable<TemplateFields> = {};
  if (layout.legacy) {
    decodeField(fields, 'd', reader.bytes(LEGACY_DIGEST_SIZE, 'IMA entry, digest'), base);
    decodeField(fields, 'n', untilNul(reader.rest()), base + LEGACY_DIGEST_SIZE);
    return fields;
  }
  for (const id of layout.fields) {
    const size = reader.u32le(`IMA entry, length of field ${id}`);
    const limit = fieldLimit(id);
    if (size > limit) {
      const detail = `${size} bytes, where the kernel writes at most ${limit}`;
      throw new ParseError('parse.too-large', `IMA entry, field ${id}`, reader.offset - 4, detail);
    }
    const at = reader.offset;
    decodeField(fields, id, reader.bytes(size, `IMA entry, field ${id}`), at);
  }
  reader.end('IMA entry, template data');
  return fields;
}

function decodeField(fields: Mutable<TemplateFields>, id: TemplateFieldId, value: Uint8Array, at: number): void {
  switch (id) {
    case 'd':
      fields.digest = { kind: 'ima', algorithm: value.length === 16 ? 'md5' : 'sha1', value };
      break;
    case 'd-ng':
    case 'd-ngv2':
      fields.digest = namedDigest(id, value, at);
      break;
    case 'n':
    case 'n-ng':
      fields.path = decodePath(text(id, value, at));
      break;
    case 'sig':
      fields.signature = value;
      break;
    case 'buf':
      fields.buffer = value;
      break;
    case 'd-modsig':
      // Empty where the file has no appended signature (ima_template_lib.c:ima_eventdigest_modsig_init).
      if (value.length > 0) fields.modsigDigest = namedDigest(id, value, at);
      break;
    case 'modsig':
      fields.modsig = value;
      break;
    case 'evmsig':
      fields.evmSignature = value;
      break;
    case 'xattrnames':
      fields.xattrNames = names(decodePath(text(id, value, at)));
      break;
    case 'xattrlengths':
      fields.xattrLengths = lengths(value, at);
      break;
    case 'xattrvalues':
      fields.xattrValues = value;
      break;
    case 'iuid':
    case 'igid':
    case 'imode':
      fields[id] = unsigned(id, value, at);
      break;
  }
}

/** `[ima:|verity:]algo:` NUL, digest (ima_template_lib.c:ima_eventdigest_init_common); a violation names no algorithm. */
function namedDigest(id: TemplateFieldId, value: Uint8Array, at: number): FileDigest {
  const nul = value.indexOf(0);
  const prefix = nul < 0 ? undefined : Buffer.from(value.subarray(0, nul)).toString('latin1');
  const match = /^(?:(ima|verity):)?([\x21-\x39\x3b-\x7e]{0,64}):$/.exec(prefix ?? '');
  if (match === null) throw new ParseError('parse.invalid', `IMA entry, field ${id}`, at, 'no algorithm name and NUL');
  const kind = match[1] === 'verity' ? 'verity' : 'ima';
  return { kind, algorithm: match[2] ?? '', value: value.subarray(nul + 1) };
}

/** A string's bytes without the NUL that ends it; one inside it no kernel writes. */
function text(id: TemplateFieldId, value: Uint8Array, at: number): Uint8Array {
  const nul = value.indexOf(0);
  if (nul >= 0 && nul !== value.length - 1) {
    throw new ParseError('parse.invalid', `IMA entry, field ${id}`, at + nul, 'a NUL inside the text');
  }
  return nul < 0 ? value : value.subarray(0, nul);
}

function untilNul(value: Uint8Array): Uint8Array {
  const nul = value.indexOf(0);
  return nul < 0 ? value : value.subarray(0, nul);
}

function names(joined: string): string[] {
  return joined === '' ? [] : joined.split('|');
}

function lengths(value: Uint8Array, at: number): number[] {
  const reader = new ByteReader(value, at);
  const found: number[] = [];
  while (reader.remaining > 0) found.push(reader.u32le('IMA entry, field xattrlengths'));
  return found;
}

function unsigned(id: TemplateFieldId, value: Uint8Array, at: number): number {
  const reader = new ByteReader(value, at);
  if (value.length === 2) return reader.u16le(id);
  if (value.length === 4) return reader.u32le(id);
  throw new ParseError('parse.invalid', `IMA entry, field ${id}`, at, `${value.length} bytes, where 2 or 4 can be`);
}
