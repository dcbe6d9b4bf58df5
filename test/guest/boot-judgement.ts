/** What the tests ask of a boot that a guest has made: its log, its TPM's PCRs, and what follows from its files. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  authenticodeDigest,
  type BootEvent,
  type BootLog,
  compareBoots,
  decodeLog,
  EventType,
  encodeBootLog,
  parseBootLog,
  replayBootLog,
} from '../../src/boot/index.ts';
import { toHex } from '../../src/bytes/index.ts';
import { SWTPM_BANKS } from '../../src/vtpm/index.ts';
import { toolDiffers } from '../fixtures/eventlog-yaml.ts';
import type { Boot } from './guest.ts';
import { keepBootLog } from './lists.ts';
import { type KeptPcrs, keepPcrs, parsePcrs } from './pcrs.ts';

/** Steps of a boot that is to be judged here. */
export const bootEvidence = [keepBootLog('boot'), keepPcrs('pcrs', SWTPM_BANKS)];

const IMA_PCR = '10';
/** Never extended: zeros, or ones where only a dynamic launch may extend (TCG PC Client Platform TPM Profile, PCR attributes). */
export const UNTOUCHED = /^(0+|f+)$/;

export const pcrsOf = (boot: Boot): KeptPcrs => parsePcrs(boot.file('pcrs').toString());
export const logOf = (boot: Boot): BootLog => parseBootLog(boot.file('boot'));

/**
 * Every PCR of every bank that the kernel's IMA does not own: the log's value, or untouched where the log has no event of
 * it. Every event is in the form of its type.
 */
export function assertLogReplays(boot: Boot, touched: readonly number[]): BootLog {
  const log = logOf(boot);
  const replayed = replayBootLog(log);
  const kept = pcrsOf(boot);
  assert.deepEqual(Object.keys(kept).sort(), [...SWTPM_BANKS].sort());
  for (const bank of SWTPM_BANKS) {
    for (const [pcr, value] of Object.entries(kept[bank] ?? {})) {
      const expected = replayed[bank]?.[pcr];
      if (pcr === IMA_PCR) continue;
      if (expected === undefined) assert.match(value, UNTOUCHED, `${bank} PCR ${pcr}`);
      else assert.equal(value, expected, `${bank} PCR ${pcr}`);
    }
  }
  assert.deepEqual(Object.keys(replayed.sha256 ?? {}).map(Number), touched);
  assert.deepEqual(toolDiffers(encodeBootLog(log), 2), [], 'tpm2_eventlog prints the same');
  const undecodable = decodeLog(log).filter(
    ({ payload, vouched }) => payload.kind === 'undecodable' || vouched === 'differs',
  );
  assert.deepEqual(undecodable, []);
  return log;
}

export const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
export const fileDigest = (path: string): string => sha256(readFileSync(path));

function sha256Of(event: BootEvent): string {
  const found = event.digests.find(({ algorithm }) => algorithm === 'sha256');
  assert.ok(found, `event ${event.index} has a SHA-256 digest`);
  return toHex(found.value);
}

/** SHA-256 digests of a PCR's events of one type. */
export const digestsOf = (log: BootLog, pcr: number, type: number): string[] =>
  log.events.filter((event) => event.pcr === pcr && event.type === type).map(sha256Of);

/** Names of the variables that vouched for an image. */
export const authorities = (log: BootLog): string[] =>
  decodeLog(log).flatMap(({ type, payload }) =>
    type === EventType.EV_EFI_VARIABLE_AUTHORITY && payload.kind === 'variable' ? [payload.name] : [],
  );

/** The digests of the images that the firmware loaded, named by the files of the disk that have them. */
export function imagesLoaded(boot: Boot): string[] {
  const names = new Map<string, string>();
  for (const [path, file] of Object.entries(boot.esp)) {
    if (isPortableExecutable(file)) names.set(authenticode(file), path);
  }
  const { kernel: linux } = boot.payload;
  const inside = authenticode(linux);
  if (!names.has(inside)) names.set(inside, 'the kernel');
  const digests = digestsOf(logOf(boot), 4, EventType.EV_EFI_BOOT_SERVICES_APPLICATION);
  return digests.map((value) => names.get(value) ?? value);
}

const isPortableExecutable = (file: string): boolean => readFileSync(file).toString('latin1', 0, 2) === 'MZ';
const authenticode = (file: string): string => toHex(authenticodeDigest(readFileSync(file), 'sha256'));

/** PCRs that differ between two boots, in the SHA-256 bank. */
export function differingPcrs(one: Boot, other: Boot): string[] {
  const [was = {}, is = {}] = [one, other].map((boot) => pcrsOf(boot).sha256);
  return Object.keys(was).filter((pcr) => pcr !== IMA_PCR && was[pcr] !== is[pcr]);
}

/** PCRs that the log extends, in the SHA-256 bank. */
export const touchedPcrs = (boot: Boot): string[] => Object.keys(replayBootLog(logOf(boot)).sha256 ?? {});

/** What `boot diff` names between two boots, without the table's prefix and suffix. */
export function namedChanges(before: Boot, after: Boot): string[] {
  return compareBoots(logOf(before), logOf(after))
    .map(({ code }) => code.replace(/^boot\./, '').replace(/-changed$/, ''))
    .sort();
}
