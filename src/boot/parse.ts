import { ByteReader, type DigestAlgorithm, digestInfo, digestInfoByTpmAlg, ParseError } from '../bytes/index.ts';
import { BootError } from './error.ts';
import { EventType } from './event-types.ts';
import type { BootEvent, BootLog, EventDigest, SpecId } from './log.ts';

const MAX_PCR = 23;
/** In no PCR: Windows' trailing records, and the PCR-mapping record of TXT. */
const NO_PCR = 0xffffffff;
const TXT_NO_PCR = 255;
const SHA1_TPM_ALG = 0x0004;
/** TCG_EfiSpecIDEvent.signature, with its NUL. */
const AGILE_SIGNATURE = Buffer.from('Spec ID Event03\0', 'latin1');
/** TPM_ALG_IDs of hashes are a handful; a count of 0xffffffff is refused before anything is read for it. */
const MAX_ALGORITHMS = 16;
const MAX_DIGEST_SIZE = 128;

interface EventHead {
  readonly index: number;
  readonly offset: number;
  readonly pcr: number;
  readonly type: number;
}

/**
 * Decodes a TCG PC Client event log, SHA-1 or crypto-agile (told apart by the first event). Every record is checked
 * against the bytes there are before anything is made of it; payloads stay raw.
 *
 * Padding after the last record (00 or FF, as firmware tables and Secure Launch have it) ends the log. Digests of
 * algorithms that Assay does not know are skipped by the size that the Spec ID event declares, and are carried.
 *
 * TCG PC Client Platform Firmware Profile, "TCG_PCR_EVENT2 Structure", "Tagged Event Log".
 * @param base offset of `bytes` in what is read, which every offset counts from
 * @throws {BootError} `boot.not-a-log` where even the first record is none
 * @throws {ParseError} with the byte offset, for anything malformed after it
 */
export function parseBootLog(bytes: Uint8Array, base = 0): BootLog {
  const end = base + paddingStart(bytes);
  const reader = new ByteReader(bytes, base);
  const first = firstEvent(reader, end);
  const specId = parseSpecId(first);
  const events: BootEvent[] = [first];
  const sizes = specId === undefined ? undefined : digestSizes(specId);
  while (reader.offset < end) {
    const head = readHead(reader, events.length);
    events.push(sizes === undefined ? readSha1Event(reader, head) : readAgileEvent(reader, head, sizes));
  }
  return {
    format: specId === undefined ? 'sha1' : 'agile',
    specId,
    events,
    padding: reader.remaining,
  };
}

/** Offset from which only 00 or only FF follows. A record cannot begin there: its whole head would be padding. */
function paddingStart(bytes: Uint8Array): number {
  const last = bytes[bytes.length - 1];
  if (last !== 0x00 && last !== 0xff) return bytes.length;
  let start = bytes.length;
  while (start > 0 && bytes[start - 1] === last) start--;
  return start;
}

function firstEvent(reader: ByteReader, end: number): BootEvent {
  try {
    if (end === reader.offset) {
      reader.fail('parse.truncated', 'event 0', reader.remaining === 0 ? 'it is empty' : 'nothing but padding');
    }
    return readSha1Event(reader, readHead(reader, 0));
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw new BootError(
      'boot.not-a-log',
      `this is no TCG event log: ${error.message}`,
      'give a file such as /sys/kernel/security/tpm0/binary_bios_measurements',
    );
  }
}

function readHead(reader: ByteReader, index: number): EventHead {
  const offset = reader.offset;
  const pcr = reader.u32le(`event ${index}, PCR`);
  const type = reader.u32le(`event ${index}, type`);
  const isInNoPcr = pcr === NO_PCR || (pcr === TXT_NO_PCR && type === EventType.TXT_EVTYPE_PCR_MAPPING);
  if (pcr > MAX_PCR && !isInNoPcr) {
    reader.fail('parse.invalid', `event ${index}, PCR`, `there is no PCR ${pcr}`, offset);
  }
  return { index, offset, pcr, type };
}

function readSha1Event(reader: ByteReader, head: EventHead): BootEvent {
  const value = reader.bytes(digestInfo('sha1').size, `event ${head.index}, SHA-1 digest`);
  return { ...head, digests: [{ tpmAlg: SHA1_TPM_ALG, algorithm: 'sha1', value }], data: readPayload(reader, head) };
}

function readPayload(reader: ByteReader, { index }: EventHead): Uint8Array {
  const size = reader.u32le(`event ${index}, size`);
  return reader.bytes(size, `event ${index}, payload`);
}

function readAgileEvent(reader: ByteReader, head: EventHead, sizes: ReadonlyMap<number, number>): BootEvent {
  const what = `event ${head.index}, digest count`;
  const countAt = reader.offset;
  const count = reader.u32le(what);
  if (count > sizes.size) {
    reader.fail('parse.too-large', what, `${count} digests, where the log has ${sizes.size} algorithms`, countAt);
  }
  const digests: EventDigest[] = [];
  for (let i = 0; i < count; i++) digests.push(readDigest(reader, head, sizes, digests));
  return { ...head, digests, data: readPayload(reader, head) };
}

function readDigest(
  reader: ByteReader,
  { index }: EventHead,
  sizes: ReadonlyMap<number, number>,
  before: readonly EventDigest[],
): EventDigest {
  const what = `event ${index}, digest algorithm`;
  const at = reader.offset;
  const tpmAlg = reader.u16le(what);
  const size = sizes.get(tpmAlg);
  if (size === undefined) {
    reader.fail('parse.unknown-value', what, `0x${tpmAlg.toString(16)} is not in the Spec ID event`, at);
  }
  if (before.some((digest) => digest.tpmAlg === tpmAlg)) {
    reader.fail('parse.invalid', what, `0x${tpmAlg.toString(16)} stands twice in one event`, at);
  }
  return { tpmAlg, algorithm: algorithmOf(tpmAlg), value: reader.bytes(size, `event ${index}, digest`) };
}

function algorithmOf(tpmAlg: number): DigestAlgorithm | undefined {
  return digestInfoByTpmAlg(tpmAlg)?.name;
}

/** TCG_EfiSpecIDEvent; undefined where the first event is something else, and so the log is of the SHA-1 format. */
function parseSpecId(event: BootEvent): SpecId | undefined {
  const isSpecId =
    event.type === EventType.EV_NO_ACTION && AGILE_SIGNATURE.equals(event.data.subarray(0, AGILE_SIGNATURE.length));
  if (!isSpecId) return undefined;
  // TCG_PCR_EVENT: PCR, type, SHA-1 digest and size stand before the payload.
  const reader = new ByteReader(event.data, event.offset + 32);
  reader.bytes(AGILE_SIGNATURE.length, 'Spec ID event, signature');
  const platformClass = reader.u32le('Spec ID event, platform class');
  const versionMinor = reader.u8('Spec ID event, minor version');
  const versionMajor = reader.u8('Spec ID event, major version');
  const errata = reader.u8('Spec ID event, errata');
  const uintnSize = reader.u8('Spec ID event, UINTN size');
  const algorithms = readAlgorithms(reader);
  return {
    platformClass,
    versionMajor,
    versionMinor,
    errata,
    uintnSize,
    algorithms,
    vendorInfo: readVendorInfo(reader),
  };
}

function readAlgorithms(reader: ByteReader): SpecId['algorithms'] {
  const what = 'Spec ID event, algorithm count';
  const countAt = reader.offset;
  const count = reader.u32le(what);
  if (count === 0) reader.fail('parse.invalid', what, 'no algorithm', countAt);
  if (count > MAX_ALGORITHMS) reader.fail('parse.too-large', what, `${count}, above ${MAX_ALGORITHMS}`, countAt);
  const algorithms: { tpmAlg: number; size: number }[] = [];
  for (let i = 0; i < count; i++) {
    const at = reader.offset;
    const tpmAlg = reader.u16le('Spec ID event, algorithm');
    const size = reader.u16le('Spec ID event, digest size');
    const known = digestInfoByTpmAlg(tpmAlg)?.size;
    const wrong =
      size === 0 || size > MAX_DIGEST_SIZE || (known !== undefined && known !== size)
        ? `digests of ${size} bytes`
        : algorithms.some((other) => other.tpmAlg === tpmAlg)
          ? 'stands twice'
          : undefined;
    if (wrong !== undefined) {
      reader.fail('parse.invalid', `Spec ID event, algorithm 0x${tpmAlg.toString(16)}`, wrong, at);
    }
    algorithms.push({ tpmAlg, size });
  }
  return algorithms;
}

/** Old firmware leaves the size byte out with nothing after it; what follows the declared size is not ours to refuse. */
function readVendorInfo(reader: ByteReader): Uint8Array {
  if (reader.remaining === 0) return new Uint8Array();
  return reader.bytes(reader.u8('Spec ID event, vendor info size'), 'Spec ID event, vendor info');
}

function digestSizes(specId: SpecId): ReadonlyMap<number, number> {
  return new Map(specId.algorithms.map(({ tpmAlg, size }) => [tpmAlg, size]));
}
