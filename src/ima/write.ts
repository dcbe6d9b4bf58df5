import { ByteWriter, type DigestAlgorithm, digest, digestInfo } from '../bytes/index.ts';
import { ImaError } from './error.ts';
import { encodePath } from './path.ts';
import { LEGACY_DIGEST_SIZE, LEGACY_NAME_MAX, MAX_PCR, MAX_TEMPLATE_DATA } from './scan.ts';
import { templateLayout } from './template.ts';

/** Linux PATH_MAX, with the NUL. */
const MAX_PATH = 4096;

/** An entry ready to be appended to a list, and what the PCR must be extended with. */
export interface EncodedEntry {
  readonly bytes: Buffer;
  /** The bank's digest of this is what the PCR is extended with. */
  readonly templateData: Buffer;
}

/**
 * Writes an entry in the kernel's binary form (ima_fs.c:ima_measurements_show), little endian.
 * @param entry.fields one value for each field of the template, NULs of strings included
 * @param entry.listAlgorithm of the template digest; SHA-1 in the kernel's default file
 * @param entry.violation writes the zero digest, for which every bank is extended with 0xFF…
 * @throws {ImaError} `ima.invalid-argument`
 */
export function encodeEntry(entry: {
  readonly pcr: number;
  readonly template: string;
  readonly fields: readonly Uint8Array[];
  readonly listAlgorithm?: DigestAlgorithm;
  readonly violation?: boolean;
}): EncodedEntry {
  const { pcr, template, fields, listAlgorithm = 'sha1', violation = false } = entry;
  const layout = templateLayout(template);
  if (!Number.isInteger(pcr) || pcr < 0 || pcr > MAX_PCR) fail(`there is no PCR ${pcr}`);
  if (!/^[!-~]{1,255}$/.test(template)) fail('a template name is 1 to 255 printable characters');
  if (layout.fields !== undefined && layout.fields.length !== fields.length) {
    fail(`template ${template} has ${layout.fields.length} fields, not ${fields.length}`);
  }
  const { listed, hashed } = layout.legacy ? legacyData(fields) : fieldData(fields);
  if (hashed.length > MAX_TEMPLATE_DATA) fail(`template data of ${hashed.length} bytes`);
  const templateDigest = violation ? Buffer.alloc(digestInfo(listAlgorithm).size) : digest(listAlgorithm, hashed);
  const writer = new ByteWriter(64 + listed.length).u32le(pcr).bytes(templateDigest);
  writer.u32le(layout.nameBytes.length).bytes(layout.nameBytes);
  if (!layout.legacy) writer.u32le(listed.length);
  return { bytes: Buffer.from(writer.bytes(listed).finish()), templateData: hashed };
}

function fail(detail: string): never {
  throw new ImaError('ima.invalid-argument', `this cannot be written into a measurement list: ${detail}`);
}

function fieldData(fields: readonly Uint8Array[]): { listed: Buffer; hashed: Buffer } {
  const writer = new ByteWriter(fields.reduce((sum, field) => sum + 4 + field.length, 0));
  for (const field of fields) writer.u32le(field.length).bytes(field);
  const data = Buffer.from(writer.finish());
  return { listed: data, hashed: data };
}

/** Template `ima`: 20 bytes and a name, listed with its length and hashed over 256 bytes. */
function legacyData([value, name]: readonly Uint8Array[]): { listed: Buffer; hashed: Buffer } {
  const bare = name?.at(-1) === 0 ? name.subarray(0, -1) : name;
  if (value?.length !== LEGACY_DIGEST_SIZE || bare === undefined || bare.length > LEGACY_NAME_MAX) {
    return fail(`template ima holds a digest of 20 bytes and a name of at most ${LEGACY_NAME_MAX}`);
  }
  const hashed = Buffer.alloc(LEGACY_DIGEST_SIZE + LEGACY_NAME_MAX + 1);
  hashed.set(value, 0);
  hashed.set(bare, LEGACY_DIGEST_SIZE);
  const listed = Buffer.from(new ByteWriter().bytes(value).u32le(bare.length).bytes(bare).finish());
  return { listed, hashed };
}

/** `d-ng`: the algorithm's name, a colon and a NUL, the digest. */
export function digestField(algorithm: string, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${algorithm}:\0`, 'latin1'), value]);
}

/**
 * `n-ng`: the path and a NUL. The kernel writes `_` for each space in a name, in the binary list too, and so hashes it
 * (ima_template_lib.c:ima_write_template_field_data): `a b` and `a_b` are one name to it.
 */
export function pathField(path: string): Buffer {
  const bytes = encodePath(`${path.replaceAll(' ', '_')}\0`);
  if (bytes.indexOf(0) !== bytes.length - 1) fail('a path with a NUL inside');
  if (bytes.length > MAX_PATH) fail(`a path of ${bytes.length - 1} bytes`);
  return bytes;
}

/** Template data of an ima-ng entry: its SHA-256 is what a verifier looks up, and what a SHA-256 bank is extended with. */
export function imaNgTemplateData(algorithm: DigestAlgorithm, value: Uint8Array, path: string): Buffer {
  return fieldData([digestField(algorithm, value), pathField(path)]).hashed;
}

/** An ima-ng entry, as a measurer in user space writes it into a list of the kernel's form. */
export function encodeImaNgEntry(
  pcr: number,
  algorithm: DigestAlgorithm,
  value: Uint8Array,
  path: string,
  listAlgorithm: DigestAlgorithm = 'sha1',
): EncodedEntry {
  if (value.length !== digestInfo(algorithm).size) fail(`a ${algorithm} digest of ${value.length} bytes`);
  return encodeEntry({
    pcr,
    template: 'ima-ng',
    fields: [digestField(algorithm, value), pathField(path)],
    listAlgorithm,
  });
}
