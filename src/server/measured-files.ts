/** A host's measured files, decoded from the covered list when somebody looks; the verdict never depends on this. */
import { toHex } from '../bytes/index.ts';
import { EntryScanner, templateData } from '../ima/index.ts';
import type { ImaPart } from './store/evidence.ts';

export interface MeasuredFile {
  /** Its place in the list, from 0. */
  readonly index: number;
  readonly pcr: number;
  readonly template: string;
  /** `sha256:<hex>`; '' for a template that names no digest, and for a violation. */
  readonly digest: string;
  /** Raw: may hold any character but NUL. */
  readonly path: string;
  readonly violation: boolean;
}

/** The files of one part, in order. @param digestSize of the template digests in this list */
export function* filesOfPart(part: ImaPart, digestSize: number): Generator<MeasuredFile> {
  const scanner = new EntryScanner(digestSize);
  const list = Buffer.from(part.bytes.buffer, part.bytes.byteOffset, part.bytes.byteLength);
  let at = 0;
  for (let index = part.first_entry; scanner.next(list, at, part.first_byte); index++) {
    at = scanner.end;
    const { pcr, violation, layout } = scanner;
    const data = templateData(list, scanner);
    const { digest, path } = layout.legacy ? legacyFields(data) : fieldsOf(data, layout.fields ?? []);
    yield { index, pcr, template: layout.name, digest, path, violation };
  }
}

interface Shown {
  readonly digest: string;
  readonly path: string;
}

/** `ima`: 20 bytes of SHA-1, then the name padded with NUL (ima_template.c). */
function legacyFields(data: Buffer): Shown {
  return { digest: `sha1:${toHex(data.subarray(0, 20))}`, path: untilNul(data.subarray(20)) };
}

/** Each field is a u32 length and its value (ima_template_lib.c). */
function fieldsOf(data: Buffer, ids: readonly string[]): Shown {
  let digest = '';
  let path = '';
  let at = 0;
  for (const id of ids) {
    if (at + 4 > data.length) break;
    const value = data.subarray(at + 4, at + 4 + data.readUInt32LE(at));
    at += 4 + value.length;
    if (id === 'd-ng' || id === 'd-ngv2') digest = taggedDigest(value);
    if (id === 'd') digest = `sha1:${toHex(value)}`;
    if (id === 'n' || id === 'n-ng') path = untilNul(value);
  }
  return { digest, path };
}

/** `sha256:\0…`, or `ima:sha256:\0…` from d-ngv2. */
function taggedDigest(value: Buffer): string {
  const nul = value.indexOf(0);
  if (nul < 0) return '';
  const algorithm = value.toString('latin1', 0, nul).replace(/:$/, '').split(':').at(-1) ?? '';
  return `${algorithm}:${toHex(value.subarray(nul + 1))}`;
}

function untilNul(value: Buffer): string {
  const nul = value.indexOf(0);
  return value.toString('utf8', 0, nul < 0 ? value.length : nul);
}
