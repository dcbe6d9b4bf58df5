import { ByteReader, ParseError } from '../../bytes/index.ts';
import { EventType } from '../event-types.ts';
import type { BootEvent } from '../log.ts';
import type { SbatComponent, Undecodable, Variable, VariableValue } from './decoded-event.ts';
import { EFI_GLOBAL_VARIABLE, EFI_IMAGE_SECURITY_DATABASE, readGuid, SHIM_LOCK } from './guid.ts';
import { readLoadOption } from './load-option.ts';
import { readAuthority, readSignatureLists } from './signature-list.ts';
import { printableText, readUtf16 } from './text.ts';

const HEADER_SIZE = 32;

/**
 * UEFI_VARIABLE_DATA. Bytes after the variable's data, which old shim logs, are left alone.
 * @throws {ParseError} where it is none; a value that is not in its variable's form is `undecodable` inside it
 */
export function readVariable(event: BootEvent, offset: number): Variable {
  const reader = new ByteReader(event.data, offset);
  const guid = readGuid(reader, 'variable, GUID');
  const nameAt = reader.offset;
  const nameLength = reader.u64le('variable, name length');
  const size = reader.u64le('variable, data size');
  if (nameLength * 2n > BigInt(reader.remaining)) {
    reader.fail(
      'parse.truncated',
      'variable, name length',
      `${nameLength}, ${reader.remaining} bytes are left`,
      nameAt,
    );
  }
  const name = readUtf16(reader, Number(nameLength), 'variable, name');
  if (size > BigInt(reader.remaining)) {
    reader.fail('parse.truncated', 'variable, data size', `${size} bytes, ${reader.remaining} are left`, nameAt + 8);
  }
  const at = offset + HEADER_SIZE + Number(nameLength) * 2;
  const data = reader.bytes(Number(size), 'variable, data');
  return { guid, name, data, value: data.length === 0 ? undefined : variableValue(event, guid, name, data, at) };
}

function variableValue(
  event: BootEvent,
  guid: string,
  name: string,
  data: Uint8Array,
  at: number,
): VariableValue | undefined {
  try {
    const isAuthority = event.type === EventType.EV_EFI_VARIABLE_AUTHORITY;
    return isAuthority ? authorityValue(name, data, at) : readValue(guid, name, data, at);
  } catch (error) {
    return undecodable(error);
  }
}

/** What a parser raised, as a value. @throws whatever is no {@link ParseError} */
export function undecodable(error: unknown): Undecodable {
  if (!(error instanceof ParseError)) throw error;
  return { kind: 'undecodable', offset: error.offset, reason: error.message };
}

/** shim measures its state under the same event type as the authorities (shim, mok.c: mok_state_variables). */
const SHIM_BOOLEANS: ReadonlySet<string> = new Set(['MokListTrusted', 'MokSBState', 'MokDBState', 'MokIgnoreDB']);

function authorityValue(name: string, data: Uint8Array, at: number): VariableValue | undefined {
  if (name === 'SbatLevel') return sbatLevel(data, at);
  if (SHIM_BOOLEANS.has(name)) return booleanValue(data);
  const [signature] = readAuthority(data, at);
  return signature === undefined ? undefined : { kind: 'authority', signature };
}

/** UEFI 2.10, 3.3, table "Global Variables". */
const BOOLEANS: ReadonlySet<string> = new Set([
  'SecureBoot',
  'SetupMode',
  'AuditMode',
  'DeployedMode',
  'VendorKeys',
  'CustomMode',
  'SecureBootEnable',
  ...SHIM_BOOLEANS,
]);
const KEY_STORES: ReadonlySet<string> = new Set([
  'PK',
  'KEK',
  'db',
  'dbx',
  'dbt',
  'dbr',
  'devdb',
  'MokList',
  'MokListX',
]);
const STORE_OWNERS: ReadonlySet<string> = new Set([EFI_GLOBAL_VARIABLE, EFI_IMAGE_SECURITY_DATABASE, SHIM_LOCK]);
const LOAD_OPTION = /^(?:Boot|Driver|SysPrep|PlatformRecovery|OsRecovery)[0-9A-Fa-f]{4}$/;
const ORDER = /^(Boot|Driver|SysPrep)(?:Order|Next)$/;

function readValue(guid: string, name: string, data: Uint8Array, at: number): VariableValue | undefined {
  if (KEY_STORES.has(name) && STORE_OWNERS.has(guid)) {
    return { kind: 'signature-lists', lists: readSignatureLists(new ByteReader(data, at)) };
  }
  if (BOOLEANS.has(name)) return booleanValue(data);
  if (name === 'SbatLevel') return sbatLevel(data, at);
  if (guid !== EFI_GLOBAL_VARIABLE) return undefined;
  if (LOAD_OPTION.test(name)) return { kind: 'load-option', ...readLoadOption(new ByteReader(data, at)) };
  const order = ORDER.exec(name)?.[1];
  if (order !== undefined) return { kind: 'boot-order', entries: readOrder(new ByteReader(data, at), order) };
  const text = printableText(data);
  return text === undefined ? undefined : { kind: 'text', text };
}

function booleanValue(data: Uint8Array): VariableValue | undefined {
  const [value] = data;
  return data.length === 1 && value !== undefined && value <= 1 ? { kind: 'boolean', value: value === 1 } : undefined;
}

function readOrder(reader: ByteReader, prefix: string): readonly string[] {
  const entries: string[] = [];
  while (reader.remaining > 0) {
    entries.push(`${prefix}${reader.u16le('boot order').toString(16).toUpperCase().padStart(4, '0')}`);
  }
  return entries;
}

/** CSV: `sbat,1,2022052400`, then `shim,2` … (shim, SBAT.md). */
function sbatLevel(data: Uint8Array, at: number): VariableValue {
  const text = printableText(data);
  const [head = [], ...rest] = (text ?? '').split('\n').map((line) => line.trim().split(','));
  if (head[0] !== 'sbat') throw new ParseError('parse.invalid', 'SbatLevel', at, "does not begin with 'sbat'");
  const components: SbatComponent[] = rest.flatMap(([name, generation]) =>
    name === undefined || name === '' ? [] : [{ name, generation: generation ?? '' }],
  );
  return { kind: 'sbat-level', date: head[2] ?? '', components };
}
