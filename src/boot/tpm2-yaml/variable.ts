/** EFI variables in tpm2_eventlog's YAML (tpm2-tools 5.4, lib/tpm2_eventlog_yaml.c: yaml_uefi_var). */
import { ByteReader, ParseError, toHex } from '../../bytes/index.ts';
import { readGuid } from '../decode/guid.ts';
import { readUtf16, readUtf16z } from '../decode/text.ts';
import { EventType } from '../event-types.ts';
import type { BootEvent } from '../log.ts';
import { plain, quoted, stringBlock, untilNul } from './text.ts';

const SIGNATURE_LIST_HEADER_SIZE = 28;
const OWNER_SIZE = 16;

interface RawVariable {
  readonly guid: string;
  readonly nameLength: bigint;
  readonly name: string;
  readonly data: Uint8Array;
}

/** @throws {ParseError} where the payload is no UEFI_VARIABLE_DATA */
export function variableEvent({ type, data }: BootEvent, version: 1 | 2): string[] {
  const variable = readRaw(data);
  return [
    '  Event:',
    `    VariableName: ${variable.guid}`,
    `    UnicodeNameLength: ${variable.nameLength}`,
    `    VariableDataLength: ${variable.data.length}`,
    `    UnicodeName: ${plain(variable.name)}`,
    ...(version === 2 ? (decodedValue(type, variable) ?? hexValue(variable.data)) : hexValue(variable.data)),
  ];
}

function readRaw(bytes: Uint8Array): RawVariable {
  const reader = new ByteReader(bytes);
  const guid = readGuid(reader, 'variable, GUID');
  const nameLength = reader.u64le('variable, name length');
  const dataLength = reader.u64le('variable, data size');
  if (nameLength * 2n + dataLength > BigInt(reader.remaining)) {
    reader.fail('parse.truncated', 'variable', `${reader.remaining} bytes are left for name and data`);
  }
  const name = untilNul(readUtf16(reader, Number(nameLength), 'variable, name'));
  return { guid, nameLength, name, data: reader.bytes(Number(dataLength), 'variable, data') };
}

function hexValue(data: Uint8Array): string[] {
  return data.length === 0 ? [] : [`    VariableData: "${toHex(data)}"`];
}

const KEY_STORES: ReadonlySet<string> = new Set(['PK', 'KEK', 'db', 'dbx']);

/** The value taken apart; undefined for one that stays hex: not known by its name, or not in its form. */
function decodedValue(type: number, { name, data }: RawVariable): string[] | undefined {
  try {
    const lines = valueLines(type, name, data);
    return lines === undefined ? undefined : ['    VariableData:', ...lines];
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    return undefined;
  }
}

function valueLines(type: number, name: string, data: Uint8Array): string[] | undefined {
  switch (type) {
    case EventType.EV_EFI_VARIABLE_DRIVER_CONFIG:
      if (KEY_STORES.has(name)) return signatureLists(data);
      return name === 'SecureBoot' ? enabled(data) : undefined;
    case EventType.EV_EFI_VARIABLE_AUTHORITY:
      if (name === 'MokListTrusted') return enabled(data);
      if (name === 'SbatLevel') return ['      String: |-', stringBlock(data, '        ')];
      return name === 'db' || name === 'Shim' ? signature(new ByteReader(data), '    ') : undefined;
    default:
      if (name === 'BootOrder') return bootOrder(data);
      return /^Boot[0-9a-fA-F]{4}$/.test(name) ? loadOption(data) : undefined;
  }
}

function enabled(data: Uint8Array): string[] | undefined {
  if (data.length > 1) return undefined;
  return [`      Enabled: ${yesOrNo((data[0] ?? 0) !== 0)}`];
}

const yesOrNo = (value: boolean): string => (value ? "'Yes'" : "'No'");

/** EFI_SIGNATURE_LISTs, whatever their type. */
function signatureLists(data: Uint8Array): string[] {
  const reader = new ByteReader(data);
  const lists: string[][] = [];
  while (reader.remaining > 0) lists.push(signatureList(reader));
  return lists.flat();
}

function signatureList(reader: ByteReader): string[] {
  const type = readGuid(reader, 'signature list, type');
  const listSize = reader.u32le('signature list, size');
  const headerSize = reader.u32le('signature list, header size');
  const size = reader.u32le('signature list, signature size');
  if (listSize < SIGNATURE_LIST_HEADER_SIZE) reader.fail('parse.invalid', 'signature list, size', `${listSize} bytes`);
  const body = reader.section(listSize - SIGNATURE_LIST_HEADER_SIZE, 'signature list');
  body.bytes(headerSize, 'signature list, header');
  if (size < OWNER_SIZE || body.remaining % size !== 0) {
    reader.fail('parse.invalid', 'signature list, signature size', `${size} bytes`);
  }
  const signatures: string[][] = [];
  while (body.remaining > 0) signatures.push(signature(body.section(size, 'signature'), '      '));
  return [
    `    - SignatureType: ${type}`,
    `      SignatureListSize: ${listSize}`,
    `      SignatureHeaderSize: ${headerSize}`,
    `      SignatureSize: ${size}`,
    '      Keys:',
    ...signatures.flat(),
  ];
}

/** One EFI_SIGNATURE_DATA. */
function signature(reader: ByteReader, indent: string): string[] {
  const owner = readGuid(reader, 'signature, owner');
  return [`${indent}- SignatureOwner: ${owner}`, `${indent}  SignatureData: ${toHex(reader.rest())}`];
}

function bootOrder(data: Uint8Array): string[] {
  const reader = new ByteReader(data);
  const lines: string[] = [];
  while (reader.remaining > 0) {
    lines.push(`    - Boot${reader.u16le('boot order').toString(16).padStart(4, '0')}`);
  }
  return lines;
}

/** EFI_LOAD_OPTION. As device path stands all that follows the description, the optional data too. */
function loadOption(data: Uint8Array): string[] {
  const reader = new ByteReader(data);
  const attributes = reader.u32le('load option, attributes');
  const pathsSize = reader.u16le('load option, size of paths');
  const description = readUtf16z(reader, 'load option, description');
  return [
    `      Enabled: ${yesOrNo((attributes & 1) !== 0)}`,
    `      FilePathListLength: ${pathsSize}`,
    `      Description: ${quoted(description)}`,
    `      DevicePath: '${toHex(reader.rest())}'`,
  ];
}
