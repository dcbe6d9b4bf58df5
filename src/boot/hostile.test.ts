/** Real logs, damaged as an enemy would: everything that this room makes of one is a value or a typed error. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { corpusLogs, needsCorpus } from '../../test/fixtures/boot-logs.ts';
import { makePe } from '../../test/fixtures/pe-image.ts';
import { AssayError } from '../bytes/index.ts';
import { bootLogsFromCel, celFromBootLog, encodeCel, parseCel } from './cel/index.ts';
import { compareBoots } from './compare/compare.ts';
import { decodeLog } from './decode/decode-event.ts';
import type { BootLog } from './log.ts';
import { parseBootLog } from './parse.ts';
import { type BootWay, predictBoot } from './predict/index.ts';
import { logBanks, replayBootLog } from './replay.ts';
import { replayWarnings } from './replay-warnings.ts';
import { bootState } from './state.ts';
import { tellBoot } from './story.ts';
import { tpm2EventlogYaml } from './tpm2-yaml/log.ts';

const magic = (program: string) => ({
  name: '.sdmagic',
  content: Buffer.from(`#### LoaderInfo: ${program} 252.39-1 ####\0`),
});
const kernel = makePe([{ name: '.text', content: Buffer.from('kernel') }]);
const uki = { name: 'uki.efi', bytes: makePe([magic('systemd-stub'), { name: '.linux', content: kernel }]) };
const WAYS: readonly BootWay[] = [
  { way: 'uki', uki },
  { way: 'systemd-boot', loader: { name: 'boot.efi', bytes: makePe([magic('systemd-boot')]) }, loads: { uki } },
];

/** What is not typed is a fault of ours. */
function typed<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof AssayError) return undefined;
    throw error;
  }
}

function useAll(log: BootLog, real: BootLog): void {
  const events = decodeLog(log);
  assert.equal(tellBoot(events).flatMap(({ lines }) => lines).length, log.events.length);
  replayWarnings(log);
  const [bank] = logBanks(log);
  const replayed = typed(() => replayBootLog(log));
  typed(() => compareBoots(log, real));
  typed(() => compareBoots(real, log));
  if (bank !== undefined) bootState(log, bank, replayed?.[bank]);
  for (const version of [1, 2] as const)
    for (const piece of tpm2EventlogYaml(log, version)) assert.ok(piece.length > 0);
  for (const boot of WAYS) typed(() => predictBoot({ boot, base: log }));
  for (const form of ['json', 'tlv'] as const)
    typed(() => bootLogsFromCel(parseCel(encodeCel(celFromBootLog(log), form), form)));
}

/** Values that overflow, and the sizes and types that stand in logs. */
const WORDS = [0, 1, 3, 4, 0xff, 0xffff, 0x7fffffff, 0x80000001, 0x800000e0, 0xc0000000, 0xffffffff] as const;

const damage = fc.oneof(
  fc.record({ kind: fc.constant('byte' as const), at: fc.nat(), value: fc.nat(255) }),
  fc.record({ kind: fc.constant('word' as const), at: fc.nat(), value: fc.constantFrom(...WORDS) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), value: fc.nat(64) }),
  fc.record({ kind: fc.constant('repeat' as const), at: fc.nat(), value: fc.nat(200) }),
);

function damaged(bytes: Buffer, { kind, at, value }: { kind: string; at: number; value: number }): Buffer {
  const place = at % Math.max(1, bytes.length - 4);
  const copy = Buffer.from(bytes);
  if (kind === 'byte') copy[place] = value;
  else if (kind === 'word') copy.writeUInt32LE(value, place);
  else if (kind === 'cut') return Buffer.concat([copy.subarray(0, place), copy.subarray(place + value)]);
  else return Buffer.concat([copy.subarray(0, place), copy.subarray(place - Math.min(place, value))]);
  return copy;
}

test('a damaged log is a log or a typed error, and so is all that is made of it', needsCorpus, () => {
  const logs = corpusLogs().filter(({ bytes }) => bytes.length < 40_000);
  fc.assert(
    fc.property(fc.constantFrom(...logs), fc.array(damage, { minLength: 1, maxLength: 6 }), ({ bytes }, wounds) => {
      const log = typed(() => parseBootLog(wounds.reduce(damaged, bytes)));
      if (log !== undefined) useAll(log, parseBootLog(bytes));
    }),
    { numRuns: 150 },
  );
});

test('a damaged payload alone leaves the log readable, and the PCRs are those of the digests', needsCorpus, () => {
  const logs = corpusLogs().filter(({ bytes }) => bytes.length < 40_000);
  fc.assert(
    fc.property(fc.constantFrom(...logs), fc.nat(), fc.uint8Array({ maxLength: 300 }), ({ bytes }, which, payload) => {
      const real = parseBootLog(bytes);
      // The first record says how to read the others; StartupLocality is a payload that counts.
      const at = 1 + (which % Math.max(1, real.events.length - 1));
      const events = real.events.map((event) =>
        event.index === at && event.type !== 3 ? { ...event, data: payload } : event,
      );
      const log = { ...real, events };
      assert.deepEqual(replayBootLog(log), replayBootLog(real));
      useAll(log, real);
    }),
    { numRuns: 150 },
  );
});
