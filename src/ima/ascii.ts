import { digestInfo, fromHex, isDigestAlgorithm, ParseError } from '../bytes/index.ts';
import type { MeasurementEntry } from './entry.ts';
import { ImaError } from './error.ts';
import { decodeFields } from './fields.ts';
import { LEGACY_DIGEST_SIZE, LEGACY_NAME_MAX, MAX_PCR } from './scan.ts';
import { type TemplateFieldId, type TemplateLayout, templateLayout } from './template.ts';

const LINE = /^ ?(\d{1,2}) ((?:[0-9a-f]{2})+) ([!-~]{1,255}) (.*)$/s;
const STRING_FIELDS: ReadonlySet<TemplateFieldId> = new Set(['n', 'n-ng']);

/**
 * One line of an ASCII list (ima_fs.c:ima_ascii_measurements_show), its template data built again from what is shown.
 *
 * The form is injectable: the kernel prints a newline in a name as it is, and what follows looks like another entry.
 * The template digest of the cut entry then differs; evidence carries the binary list, where nothing can be injected.
 * @param line without its newline
 * @param offset of the line in the list, for errors
 */
export function parseAsciiEntry(line: Buffer, index: number, offset: number): MeasurementEntry {
  const match = LINE.exec(line.toString('latin1'));
  const [, pcrText = '', digestHex = '', template = '', rest = ''] = match ?? [];
  if (match === null) failLine(index, offset, 'not `PCR digest template fields…`');
  const pcr = Number(pcrText);
  if (pcr > MAX_PCR) failLine(index, offset, `there is no PCR ${pcr}`);
  const layout = templateLayout(template);
  if (layout.fields === undefined) {
    throw new ImaError(
      'ima.unknown-template',
      `IMA entry ${index} (at byte ${offset}): the fields of template ${template} are not known`,
      'give the binary list, whose entries need not be understood to be replayed',
    );
  }
  const values = fieldTokens(layout.fields, rest).map((token, i) => fieldBytes(layout.fields?.[i], token, offset));
  const templateData = layout.legacy ? legacyData(values, index, offset) : lengthPrefixed(values);
  const templateDigest = Buffer.from(digestHex, 'hex');
  const violation = templateDigest.every((byte) => byte === 0);
  const fields = decodeFields(layout, templateData, offset);
  return { index, offset, pcr, templateDigest, template, violation, templateData, fields };
}

function failLine(index: number, offset: number, detail: string): never {
  throw new ParseError('parse.invalid', `IMA entry ${index}`, offset, detail);
}

/**
 * Fields stand one space apart, and an empty one is nothing between two. Spaces beyond those belong to the name;
 * missing ones at the end were empty fields before an editor trimmed the line.
 */
function fieldTokens(ids: NonNullable<TemplateLayout['fields']>, rest: string): string[] {
  const tokens = rest.split(' ');
  const surplus = tokens.length - ids.length;
  const name = ids.findIndex((id) => STRING_FIELDS.has(id));
  if (surplus > 0 && name >= 0) tokens.splice(name, surplus + 1, tokens.slice(name, name + surplus + 1).join(' '));
  while (tokens.length < ids.length) tokens.push('');
  return tokens;
}

function fieldBytes(id: TemplateFieldId | undefined, token: string, offset: number): Buffer {
  switch (id) {
    case 'd-ng':
    case 'd-ngv2':
    case 'd-modsig':
      return token === '' ? Buffer.alloc(0) : digestBytes(id, token, offset);
    case 'n':
    case 'n-ng':
      return Buffer.from(`${token}\0`, 'latin1');
    case 'xattrnames':
      return Buffer.from(token === '' ? '' : `${token}\0`, 'latin1');
    case 'iuid':
    case 'igid':
    case 'imode':
      return decimal(id, token, offset);
    case undefined:
      throw new ParseError('parse.trailing', 'IMA entry', offset, 'more fields than its template has');
    default:
      return hexBytes(id, token, offset);
  }
}

function hexBytes(id: TemplateFieldId, token: string, offset: number): Buffer {
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(token)) {
    throw new ParseError('parse.invalid', `IMA entry, field ${id}`, offset, 'not hex');
  }
  return fromHex(token);
}

/** `algo:hex`, shown without the NUL that the binary form has between them; a violation may show no algorithm. */
function digestBytes(id: TemplateFieldId, token: string, offset: number): Buffer {
  const cut = token.lastIndexOf(':') + 1;
  const prefix = cut === 0 ? ':' : token.slice(0, cut);
  const value = hexBytes(id, token.slice(cut), offset);
  const algorithm = prefix.split(':').at(-2) ?? '';
  if (isDigestAlgorithm(algorithm) && digestInfo(algorithm).size !== value.length) {
    throw new ParseError('parse.invalid', `IMA entry, field ${id}`, offset, `${value.length} bytes for ${algorithm}`);
  }
  return Buffer.concat([Buffer.from(`${prefix}\0`, 'latin1'), value]);
}

function decimal(id: 'iuid' | 'igid' | 'imode', token: string, offset: number): Buffer {
  const size = id === 'imode' ? 2 : 4;
  const value = /^\d{1,10}$/.test(token) ? Number(token) : Number.NaN;
  if (!(value < 2 ** (size * 8))) {
    throw new ParseError('parse.invalid', `IMA entry, field ${id}`, offset, 'not a number of its size');
  }
  const bytes = Buffer.alloc(size);
  bytes.writeUIntLE(value, 0, size);
  return bytes;
}

function lengthPrefixed(values: readonly Buffer[]): Buffer {
  return Buffer.concat(
    values.flatMap((value) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(value.length);
      return [length, value];
    }),
  );
}

function legacyData([value, name]: readonly Buffer[], index: number, offset: number): Buffer {
  if (value?.length !== LEGACY_DIGEST_SIZE || name === undefined || name.length > LEGACY_NAME_MAX + 1) {
    return failLine(index, offset, 'template ima holds a digest of 20 bytes and a name of at most 255');
  }
  const data = Buffer.alloc(LEGACY_DIGEST_SIZE + LEGACY_NAME_MAX + 1);
  data.set(value, 0);
  data.set(name, LEGACY_DIGEST_SIZE);
  return data;
}
