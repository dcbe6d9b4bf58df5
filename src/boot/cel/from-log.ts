/** Between canonical event logs and the logs that they are made from. */

import type { BootLogs } from '../boot-logs.ts';
import { BootError } from '../error.ts';
import type { BootLog, EventDigest } from '../log.ts';
import { parseBootLog } from '../parse.ts';
import type { UserspaceRecord } from '../userspace-log.ts';
import { encodeBootLog } from '../write.ts';
import type { CelIndex, CelRecord } from './record.ts';

const SPEC_ID = Buffer.from('Spec ID Event03\0', 'latin1');

/**
 * One record an event, in the log's order; the Spec ID event is one of them, so that the log can be made again.
 * Padding is not carried.
 * @param registers what the log's indices number: `cc-register` for a confidential-computing log (CCEL)
 */
export function celFromBootLog(log: BootLog, registers: 'pcr' | 'cc-register' = 'pcr'): CelRecord[] {
  return log.events.map(({ index, pcr, type, digests, data }) => ({
    recnum: index,
    index: { kind: registers, value: pcr },
    digests,
    content: { kind: 'pcclient_std', eventType: type, eventData: data },
  }));
}

/** What a record needs of an entry of an IMA list; the digests are those that extended the PCR, bank by bank. */
export interface ImaTemplateEntry {
  readonly pcr: number;
  readonly digests: readonly EventDigest[];
  readonly templateName: string;
  readonly templateData: Uint8Array;
}

/** Records of an IMA list, numbered from `recnum`. */
export function celFromImaEntries(entries: readonly ImaTemplateEntry[], recnum = 0): CelRecord[] {
  return entries.map(({ pcr, digests, templateName, templateData }, i) => ({
    recnum: recnum + i,
    index: { kind: 'pcr', value: pcr },
    digests,
    content: { kind: 'ima_template', templateName, templateData },
  }));
}

/**
 * The TCG event log that a canonical log was made from, parsed from the bytes that `encodeBootLog` gives for it.
 * @throws {BootError} `boot.cel-content` for a record that such a log has no place for; `boot.not-a-log`
 * @throws {ParseError} where the records contradict their Spec ID event
 */
export function bootLogFromCel(records: readonly CelRecord[]): BootLog {
  const events = records.map(({ recnum, index, digests, content }, i) => {
    if (content.kind !== 'pcclient_std' || index.kind === 'nv-index') throw noPlace(recnum, content.kind, index);
    return { index: i, offset: 0, pcr: index.value, type: content.eventType, digests, data: content.eventData };
  });
  const first = events[0];
  const isAgile = first?.type === 3 && SPEC_ID.equals(first.data.subarray(0, SPEC_ID.length));
  return parseBootLog(encodeBootLog({ format: isAgile ? 'agile' : 'sha1', events }));
}

/**
 * The logs of a boot out of a canonical one: the firmware's events, and behind them what systemd measured.
 * @throws as {@link bootLogFromCel}, also for no record at all; `boot.cel-content` too for firmware's events behind systemd's, and for other content
 */
export function bootLogsFromCel(records: readonly CelRecord[]): BootLogs {
  if (records.length === 0) throw new BootError('boot.not-a-log', 'this canonical event log has no records');
  const isSystemd = ({ content }: CelRecord): boolean => content.kind === 'systemd';
  const start = records.findIndex(isSystemd);
  const ofFirmware = start < 0 ? records : records.slice(0, start);
  const ofSystemd = start < 0 ? [] : records.slice(start);
  const late = ofSystemd.find((record) => !isSystemd(record));
  if (late !== undefined)
    throw new BootError(
      'boot.cel-content',
      `record ${late.recnum}: ${late.content.kind} stands behind systemd's records`,
    );
  const firmware = ofFirmware.length === 0 ? undefined : bootLogFromCel(ofFirmware);
  return { firmware, userspace: ofSystemd.map(userspaceRecord) };
}

const MAX_PCR = 23;

function userspaceRecord({ recnum, index, digests, content }: CelRecord, position: number): UserspaceRecord {
  if (index.kind !== 'pcr' || index.value > MAX_PCR) throw noPlace(recnum, content.kind, index);
  const json = content.kind === 'systemd' && typeof content.json === 'object' ? content.json : {};
  const { string, eventType } = { string: undefined, eventType: undefined, ...json };
  return {
    index: position,
    offset: 0,
    pcr: index.value,
    digests: digests.flatMap(({ algorithm, value }) => (algorithm === undefined ? [] : [{ algorithm, value }])),
    contentType: 'systemd',
    text: typeof string === 'string' ? string : undefined,
    eventType: typeof eventType === 'string' ? eventType : undefined,
  };
}

function noPlace(recnum: number, kind: string, index: CelIndex): BootError {
  const what = index.kind === 'nv-index' ? `NV index 0x${index.value.toString(16)}` : `content of type ${kind}`;
  return new BootError('boot.cel-content', `record ${recnum}: ${what} has no place in a TCG event log`);
}
