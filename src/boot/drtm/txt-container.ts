/**
 * The log of a launch on a TPM 1.2: events of the SHA-1 format inside Intel TXT's container (tboot: txt/heap.h,
 * event_log_container_t; Linux Secure Launch shows it as slaunch/eventlog, and AMD's loader writes the same).
 */
import { ByteReader } from '../../bytes/index.ts';
import type { BootLog } from '../log.ts';
import { parseBootLog } from '../parse.ts';

const SIGNATURE = Buffer.from('TXT Event Container\0', 'latin1');
/** Signature, reserved bytes, two versions, the container's size. */
const OFFSETS_AT = 20 + 12 + 4 + 4;
const HEADER_SIZE = OFFSETS_AT + 8;

/** True for bytes that begin as a container does. */
export function looksLikeTxtContainer(bytes: Uint8Array): boolean {
  return SIGNATURE.equals(bytes.subarray(0, SIGNATURE.length));
}

/**
 * Reads the events between the two offsets of the container's head; what lies after them is unused space.
 * @throws {BootError} `boot.not-a-log` where the first event is none
 * @throws {ParseError} with the byte offset, for offsets outside the bytes or anything malformed between them
 */
export function parseTxtContainer(bytes: Uint8Array): BootLog {
  const reader = new ByteReader(bytes);
  reader.bytes(OFFSETS_AT, 'TXT event container, head');
  const start = reader.u32le('TXT event container, offset of events');
  const end = reader.u32le('TXT event container, offset of the next event');
  if (start < HEADER_SIZE || end < start || end > bytes.length) {
    reader.fail('parse.invalid', 'TXT event container', `events from ${start} to ${end}`, OFFSETS_AT);
  }
  return parseBootLog(bytes.subarray(start, end), start);
}
