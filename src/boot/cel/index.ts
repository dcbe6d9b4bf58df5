/** TCG Canonical Event Log: records, their TLV and JSON forms, and the logs that they are made from. */
import { encodeCelJson, looksLikeCelJson, parseCelJson } from './json.ts';
import type { CelForm, CelRecord } from './record.ts';
import { encodeCelTlv, looksLikeCelTlv, parseCelTlv } from './tlv.ts';

export {
  bootLogFromCel,
  bootLogsFromCel,
  celFromBootLog,
  celFromImaEntries,
  type ImaTemplateEntry,
} from './from-log.ts';
export type { CelContent, CelForm, CelIndex, CelRecord } from './record.ts';

/** Which form of a canonical log these bytes begin as; undefined for other things, a TCG event log among them. */
export function celForm(bytes: Uint8Array): CelForm | undefined {
  if (looksLikeCelJson(bytes)) return 'json';
  return looksLikeCelTlv(bytes) ? 'tlv' : undefined;
}

/**
 * Decodes a canonical event log. systemd's user-space log is one too, in the JSON form.
 * @throws {ParseError} with the byte offset
 */
export function parseCel(bytes: Uint8Array, form: CelForm): CelRecord[] {
  return form === 'json' ? parseCelJson(bytes) : parseCelTlv(bytes);
}

/** @throws {BootError} `boot.cel-content` for a record that the form has no place for */
export function encodeCel(records: readonly CelRecord[], form: CelForm): Uint8Array {
  return form === 'json' ? encodeCelJson(records) : encodeCelTlv(records);
}
