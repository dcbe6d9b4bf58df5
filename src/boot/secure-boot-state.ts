/**
 * Whether Secure Boot was on, by go-attestation's rules (attest/secureboot.go, ParseSecurebootState): each variable was
 * measured once, before PCR 7's separator, with a digest over it and in its own form; with Secure Boot on there were keys,
 * and one of them accepted something; no debugger was there. Whatever else stands in PCR 7 leaves the state unknown.
 */
import { toHex } from '../bytes/index.ts';
import { signatureText } from './compare/component.ts';
import type { DecodedEvent, DecodedPayload, Variable } from './decode/decoded-event.ts';
import { EFI_GLOBAL_VARIABLE, EFI_IMAGE_SECURITY_DATABASE } from './decode/guid.ts';
import { EventType } from './event-types.ts';

const KEY_VARIABLES = ['PK', 'KEK', 'db', 'dbx'] as const;
export type KeyVariable = (typeof KEY_VARIABLES)[number];

export interface SecureBootState {
  readonly secureBoot: { readonly state: 'on' | 'off' | 'unknown'; readonly why: string };
  /** What PK, KEK, db and dbx hold: certificates by subject, hashes. One that the log does not tell is left out. */
  readonly keys: Readonly<Partial<Record<KeyVariable, readonly string[]>>>;
  /** Certificates by which the firmware, and shim, accepted what was started; in the log's order. */
  readonly authorities: readonly string[];
}

/** @param measured PCR 7's extended events, in the log's order */
export function secureBootState(measured: readonly DecodedEvent[]): SecureBootState {
  const reason = whyUnknown(measured);
  if (reason !== undefined) return unknownSecureBoot(reason);
  const variables = configuration(measured);
  const keys = Object.fromEntries(KEY_VARIABLES.map((name) => [name, held(variables.get(name))]));
  const authorities = [...new Set(measured.flatMap(authority))];
  const event = variables.get('SecureBoot');
  const isOn = event !== undefined && booleanOf(event) === true;
  const missing = isOn ? (['PK', 'KEK', 'db'] as const).find((name) => keys[name]?.length === 0) : undefined;
  if (missing !== undefined) return unknownSecureBoot(`it would be on with an empty ${missing}`);
  if (isOn && authorities.length === 0) return unknownSecureBoot('it would be on, and no key accepted anything');
  const why = `event ${event?.index} of PCR 7 measured SecureBoot=${isOn ? 1 : 0}`;
  return { secureBoot: { state: isOn ? 'on' : 'off', why }, keys, authorities };
}

export function unknownSecureBoot(why: string): SecureBootState {
  return { secureBoot: { state: 'unknown', why }, keys: {}, authorities: [] };
}

function whyUnknown(measured: readonly DecodedEvent[]): string | undefined {
  if (measured.length === 0) return 'nothing was measured into PCR 7';
  const separators = measured.filter(({ payload }) => payload.kind === 'separator');
  const [separator] = separators;
  if (separator === undefined || separators.length > 1) return `PCR 7 has ${separators.length} separators`;
  const stranger = measured.map((event) => whyStrange(event, separator.index)).find((why) => why !== undefined);
  if (stranger !== undefined) return stranger;
  const names = new Set<string>();
  for (const name of measured.filter(isConfiguration).map(nameOf)) {
    if (names.has(name)) return `${name} was measured twice`;
    names.add(name);
  }
  const missing = ['SecureBoot', ...KEY_VARIABLES].find((name) => !names.has(name));
  return missing === undefined ? undefined : `${missing} was not measured`;
}

const isConfiguration = ({ type }: DecodedEvent): boolean => type === EventType.EV_EFI_VARIABLE_DRIVER_CONFIG;
const nameOf = ({ payload }: DecodedEvent): string => (payload.kind === 'variable' ? payload.name : '');

function whyStrange(event: DecodedEvent, separatorAt: number): string | undefined {
  const { index, typeName, vouched, payload } = event;
  const where = `event ${index} of PCR 7`;
  if (payload.kind === 'action' && payload.action === 'debugger') return `${where}: a firmware debugger was there`;
  const isExpected = payload.kind === 'separator' || payload.kind === 'variable' || payload.kind === 'action';
  if (!isExpected || !TYPES.has(event.type)) return `${where}: ${typeName} does not belong there`;
  if (vouched !== 'digest') return `${where}: its digest is not over ${describe(payload)}`;
  if (payload.kind === 'separator') {
    return toHex(payload.data) === '00000000' ? undefined : `${where}: a separator that is none`;
  }
  if (payload.kind === 'action') {
    return payload.action === 'dma-protection-disabled' ? undefined : `${where}: an action that does not belong there`;
  }
  if (!isConfiguration(event)) return whyNoAuthority(payload, where);
  if (index > separatorAt) return `${where}: ${payload.name} after the separator`;
  return whyNotInForm(payload, where);
}

const TYPES: ReadonlySet<number> = new Set([
  EventType.EV_SEPARATOR,
  EventType.EV_EFI_ACTION,
  EventType.EV_EFI_VARIABLE_DRIVER_CONFIG,
  EventType.EV_EFI_VARIABLE_AUTHORITY,
]);

const describe = (payload: DecodedPayload): string => (payload.kind === 'variable' ? payload.name : 'what it shows');

/** A certificate or hash; or shim's own state, which it measures under the same type. */
function whyNoAuthority({ name, value }: Variable, where: string): string | undefined {
  const isKnown = value?.kind === 'authority' || value?.kind === 'sbat-level' || value?.kind === 'boolean';
  return isKnown ? undefined : `${where}: ${name} is in no form of an authority`;
}

/** UEFI 2.10, 3.3 and 32.3: whose each is. */
const VENDORS: Readonly<Record<string, string>> = {
  SecureBoot: EFI_GLOBAL_VARIABLE,
  PK: EFI_GLOBAL_VARIABLE,
  KEK: EFI_GLOBAL_VARIABLE,
  db: EFI_IMAGE_SECURITY_DATABASE,
  dbx: EFI_IMAGE_SECURITY_DATABASE,
};

function whyNotInForm({ name, guid, data, value }: Variable, where: string): string | undefined {
  const vendor = Object.hasOwn(VENDORS, name) ? VENDORS[name] : undefined;
  if (vendor !== undefined && guid !== vendor) return `${where}: ${name} of ${guid}, which is another variable`;
  if (value?.kind === 'undecodable') return `${where}: ${name}: ${value.reason}`;
  if (name !== 'SecureBoot' || value?.kind === 'boolean') return undefined;
  return data.length === 0
    ? `${where}: SecureBoot is empty: the firmware had no such variable`
    : `${where}: SecureBoot is no byte 0 or 1`;
}

function configuration(measured: readonly DecodedEvent[]): ReadonlyMap<string, DecodedEvent> {
  return new Map(measured.filter(isConfiguration).map((event) => [nameOf(event), event]));
}

function booleanOf({ payload }: DecodedEvent): boolean | undefined {
  return payload.kind === 'variable' && payload.value?.kind === 'boolean' ? payload.value.value : undefined;
}

function held(event: DecodedEvent | undefined): string[] {
  const value = event?.payload.kind === 'variable' ? event.payload.value : undefined;
  if (value?.kind !== 'signature-lists') return [];
  return value.lists.flatMap(({ signatures }) => signatures.map(signatureText));
}

function authority({ payload }: DecodedEvent): string[] {
  return payload.kind === 'variable' && payload.value?.kind === 'authority'
    ? [signatureText(payload.value.signature)]
    : [];
}
