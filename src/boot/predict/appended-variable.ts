/** Variables of signature lists: their form, and what one holds once an update was appended to it, as updates of dbx are. */
import { ByteReader, ParseError, toHex } from '../../bytes/index.ts';
import type { BootLog } from '../log.ts';
import { measuredVariable } from './base-log.ts';
import { notPredictable } from './measurement.ts';
import { naming } from './named-image.ts';

const LIST_HEADER = 28;
/** Of the list, behind its type. */
const SIZE_AT = 16;
const OWNER_SIZE = 16;

interface RawList {
  readonly type: string;
  /** Without the list's size, which changes with what is left out. */
  readonly head: Uint8Array;
  readonly extra: Uint8Array;
  readonly signatures: readonly Uint8Array[];
}

/**
 * The variable of the base log with the lists of `addition` behind it. What it has already, the firmware leaves out: a
 * signature with the same owner in a list of the same type (EDK II: SecurityPkg, AuthService.c, FilterSignatureList).
 * @throws {BootError} `boot.not-predictable` where either is no list of signatures, or the base log does not have it
 */
export function appendedVariable(base: BootLog, name: string, addition: Uint8Array): Buffer {
  const now = measuredVariable(base, name);
  if (now === undefined)
    throw notPredictable(`the base log has no variable ${name}`, 'give the whole of it: NAME=FILE');
  const known = new Set(naming({ name: `base log, variable ${name}` }, () => rawLists(now)).flatMap(keysOf));
  const added = naming({ name: `what is appended to ${name}` }, () => rawLists(addition)).flatMap((list) => {
    const signatures = list.signatures.filter((signature) => !known.has(keyOf(list, signature)));
    return signatures.length === 0 ? [] : [encoded({ ...list, signatures })];
  });
  return Buffer.concat([now, ...added]);
}

/** Signatures that the one has and the other lacks. @throws {ParseError} where either is no list of signatures */
export function lostSignatures(before: Uint8Array, after: Uint8Array): number {
  const kept = new Set(rawLists(after).flatMap(keysOf));
  return rawLists(before)
    .flatMap(keysOf)
    .filter((key) => !kept.has(key)).length;
}

/** @throws {BootError} `boot.not-predictable` where `data` is not in the form of a variable of that name, where one is known */
export function checkVariableForm(name: string, data: Uint8Array): void {
  const advice = 'a copy of a file of efivarfs begins with four bytes of attributes: name the file itself';
  if (name === 'SecureBoot' && !(data.length === 1 && (data[0] ?? 2) <= 1))
    throw notPredictable(`variable SecureBoot is no byte 0 or 1, but ${data.length} bytes`, advice);
  if (!LISTS.has(name)) return;
  try {
    rawLists(data);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw notPredictable(`variable ${name}: ${error.message}`, advice);
  }
}

/** UEFI 2.10, 32.3: those of signature lists. */
const LISTS: ReadonlySet<string> = new Set(['PK', 'KEK', 'db', 'dbx', 'dbt', 'dbr']);

const keyOf = ({ type }: RawList, signature: Uint8Array): string => `${type} ${toHex(signature)}`;
const keysOf = (list: RawList): string[] => list.signatures.map((signature) => keyOf(list, signature));

/** EFI_SIGNATURE_LISTs (UEFI 2.10, 32.4.1). @throws {ParseError} */
function rawLists(bytes: Uint8Array): RawList[] {
  const reader = new ByteReader(bytes);
  const lists: RawList[] = [];
  while (reader.remaining > 0) {
    const at = reader.offset;
    const type = reader.bytes(SIZE_AT, 'list, type');
    const size = reader.u32le('list, size');
    const headerSize = reader.u32le('list, header size');
    const each = reader.u32le('list, signature size');
    const body = reader.section(size - LIST_HEADER, 'list');
    const extra = body.bytes(headerSize, 'list, header');
    if (body.remaining > 0 && (each <= OWNER_SIZE || body.remaining % each !== 0))
      body.fail('parse.invalid', 'list, signature size', `${body.remaining} bytes are no multiple of ${each}`);
    const signatures: Uint8Array[] = [];
    while (body.remaining > 0) signatures.push(body.bytes(each, 'signature'));
    lists.push({ type: toHex(type), head: bytes.subarray(at, at + LIST_HEADER), extra, signatures });
  }
  return lists;
}

function encoded({ head, extra, signatures }: RawList): Buffer {
  const list = Buffer.concat([head, extra, ...signatures]);
  list.writeUInt32LE(list.length, SIZE_AT);
  return list;
}
