/** Keeps what people may want to look at: the last accepted quote, this boot's firmware log and the covered part of the IMA list. */
import { hash } from 'node:crypto';
import type { Evidence, GrowingLogEvidence } from '../evidence/index.ts';
import { EntryScanner } from '../ima/index.ts';
import type { AttestationResult, BootState, HostState, UnprovenReplay } from '../verify/index.ts';
import { pcrsToHex } from './pcr-hex.ts';
import { deleteImaParts, lastImaPart, putBootLog, putImaPart, putQuote } from './store/evidence.ts';
import { toJson } from './store/json-column.ts';
import type { Db, Store } from './store/store.ts';

/**
 * Bytes of a host's list that are kept; beyond them the list is judged all the same, and only not shown. Nor is what came
 * in parts: it was not proven yet when it was there.
 */
const LIST_BYTES_KEPT = 64 * 1024 * 1024;
/** A part grows to this size before another is begun. */
const PART_SIZE = 64 * 1024;
/** So much is written in one transaction, and holds up the event loop: some 30 ms. */
const AT_ONCE = 4 * 1024 * 1024;

/**
 * Stores the parts of evidence that was accepted; of the logs only what the quote covers, and of a long list its beginning
 * ({@link keepRestOfList}). What was rejected is kept nowhere:
 * its PCR values would be the host's word, shown beside a verdict.
 */
export async function keepEvidence(
  db: Db,
  hostId: string,
  evidence: Evidence,
  before: HostState | undefined,
  result: AttestationResult,
  now: number,
): Promise<void> {
  const boot = result.state?.boot;
  if (!result.verified || boot === undefined) return;
  const { message, signature, pcrs } = evidence.quote;
  await putQuote(db, {
    host_id: hostId,
    nonce: evidence.nonce,
    message,
    signature,
    pcrs: toJson(pcrsToHex(pcrs)),
    received_at: now,
  });
  if (evidence.bootLog.kind === 'bytes' && evidence.bootLog.bytes.length > 0) {
    const { bytes } = evidence.bootLog;
    await putBootLog(db, hostId, hash('sha256', bytes, 'hex'), bytes);
  }
  // The parts before this one were not kept: what is there is of an earlier boot.
  if (provenWith(boot, before)?.firstByte === 0) await deleteImaParts(db, hostId);
  const covered = coveredPart(evidence.imaLog, before, boot);
  if (covered !== undefined) await keepPart(db, hostId, covered, boot.ima.templateDigestSize);
}

/**
 * Stores what {@link keepEvidence} left of a long list, in transactions of their own: others' verdicts go in between. A
 * server that is killed here has the verdict, and shows less of the list.
 */
export async function keepRestOfList(
  write: Store['write'],
  hostId: string,
  evidence: Evidence,
  before: HostState | undefined,
  result: AttestationResult,
): Promise<void> {
  const boot = result.state?.boot;
  if (!result.verified || boot === undefined) return;
  const covered = coveredPart(evidence.imaLog, before, boot);
  if (covered === undefined || covered.bytes.length <= AT_ONCE) return;
  let isFirst = true; // it was stored with the verdict
  for (const pieces of slices(cutAtEntries(covered, boot.ima.templateDigestSize))) {
    if (!isFirst && !(await write((db) => append(db, hostId, pieces)))) return;
    isFirst = false;
  }
}

/** False where they do not follow what is there. */
async function append(db: Db, hostId: string, pieces: readonly CoveredPart[]): Promise<boolean> {
  const last = await lastImaPart(db, hostId);
  if (last === undefined || last.first_byte + last.bytes.length !== pieces[0]?.firstByte) return false;
  for (const piece of pieces) await putPiece(db, hostId, piece);
  return true;
}

interface CoveredPart {
  readonly firstByte: number;
  readonly firstEntry: number;
  readonly entries: number;
  readonly bytes: Uint8Array;
}

/** The parts that came before and that this boot's quote proved with the last one. */
function provenWith(boot: BootState, before: HostState | undefined): UnprovenReplay | undefined {
  const unproven = before?.unproven;
  return unproven?.resetCount === boot.resetCount && unproven.restartCount === boot.restartCount ? unproven : undefined;
}

function coveredPart(log: GrowingLogEvidence, before: HostState | undefined, boot: BootState): CoveredPart | undefined {
  if (log.kind !== 'part' || log.bytes.length === 0) return undefined;
  const known = provenWith(boot, before) ?? before?.boot;
  const firstEntry = log.offset === 0 ? 0 : (known?.ima.entries ?? 0);
  const bytes = log.bytes.subarray(0, Math.max(0, boot.ima.bytes - log.offset));
  return { firstByte: log.offset, firstEntry, entries: boot.ima.entries - firstEntry, bytes };
}

async function keepPart(db: Db, hostId: string, part: CoveredPart, digestSize: number): Promise<void> {
  if (part.firstByte === 0) await deleteImaParts(db, hostId);
  if (part.entries <= 0 || part.firstByte + part.bytes.length > LIST_BYTES_KEPT) return;
  const last = part.firstByte === 0 ? undefined : await lastImaPart(db, hostId);
  const end = last === undefined ? 0 : last.first_byte + last.bytes.length;
  if (part.firstByte !== end) return; // the part before it was above the bound
  if (last !== undefined && last.bytes.length + part.bytes.length <= PART_SIZE) {
    const bytes = Buffer.concat([last.bytes, part.bytes]);
    await putImaPart(db, { ...last, entries: last.entries + part.entries, bytes });
    return;
  }
  const { value: beginning = [] } = slices(cutAtEntries(part, digestSize)).next();
  for (const piece of beginning) await putPiece(db, hostId, piece);
}

function putPiece(db: Db, hostId: string, { firstByte, firstEntry, entries, bytes }: CoveredPart): Promise<void> {
  return putImaPart(db, { host_id: hostId, first_byte: firstByte, first_entry: firstEntry, entries, bytes });
}

/** As many together as are written at once. */
function* slices(pieces: Iterable<CoveredPart>): Generator<CoveredPart[], undefined> {
  let slice: CoveredPart[] = [];
  let size = 0;
  for (const piece of pieces) {
    slice.push(piece);
    size += piece.bytes.length;
    if (size < AT_ONCE) continue;
    yield slice;
    slice = [];
    size = 0;
  }
  if (slice.length > 0) yield slice;
}

/** Pieces of about PART_SIZE, whole entries each, so that a page is found without reading the whole list. */
function* cutAtEntries({ firstByte, firstEntry, bytes }: CoveredPart, digestSize: number): Generator<CoveredPart> {
  const scanner = new EntryScanner(digestSize);
  let start = 0;
  let end = 0;
  let first = firstEntry;
  let entries = 0;
  const piece = (): CoveredPart => ({
    firstByte: firstByte + start,
    firstEntry: first,
    entries,
    bytes: bytes.subarray(start, end),
  });
  while (scanner.next(bytes, end)) {
    end = scanner.end;
    entries += 1;
    if (end - start < PART_SIZE) continue;
    yield piece();
    first += entries;
    entries = 0;
    start = end;
  }
  if (entries > 0) yield piece();
}
