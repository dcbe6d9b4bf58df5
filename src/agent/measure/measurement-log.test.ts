import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { digest, digestInfo } from '../../bytes/index.ts';
import type { PcrBank, PcrValues, TpmKind } from '../../evidence/index.ts';
import { ListReplay } from '../../ima/index.ts';
import { AgentError } from '../error.ts';
import { encodeEntry, type NewEntry, readEntries } from './entry.ts';
import { MeasurementLog } from './measurement-log.ts';
import type { PcrExtender } from './pcr-extender.ts';

class Crash extends Error {}

/** PCRs in memory, that can fail before or after the n-th extend. */
class MemoryPcrs implements PcrExtender {
  kind: TpmKind = 'software';
  readonly banks: readonly PcrBank[];
  values = new Map<string, Buffer>();
  counters = { resetCount: 1, restartCount: 0 };
  extends = 0;
  crash: { at: number; done: boolean } | undefined;

  constructor(banks: readonly PcrBank[] = ['sha1', 'sha256', 'sha384']) {
    this.banks = banks;
  }

  value(bank: PcrBank, pcr: number): Buffer {
    return this.values.get(`${bank} ${pcr}`) ?? Buffer.alloc(digestInfo(bank).size);
  }

  async boot() {
    return this.counters;
  }

  async read(pcrs: readonly number[]): Promise<PcrValues> {
    const bankValues = (bank: PcrBank) => Object.fromEntries(pcrs.map((pcr) => [pcr, this.value(bank, pcr)]));
    return Object.fromEntries(this.banks.map((bank) => [bank, bankValues(bank)]));
  }

  async extend(pcr: number, digests: Readonly<Partial<Record<PcrBank, Uint8Array>>>): Promise<void> {
    const isCrash = this.crash?.at === this.extends++;
    if (isCrash && this.crash?.done === false) throw new Crash();
    for (const bank of this.banks) {
      const value = digests[bank];
      assert.ok(value, `bank ${bank} was left out`);
      this.values.set(`${bank} ${pcr}`, digest(bank, this.value(bank, pcr), value));
    }
    if (isCrash) throw new Crash();
  }

  reset(counters: { resetCount: number; restartCount: number }): void {
    this.values.clear();
    this.counters = counters;
  }
}

const file = (name: string, content = name): NewEntry => ({
  path: Buffer.from(name, 'latin1'),
  sha256: digest('sha256', Buffer.from(content)),
});
const FILES = ['/usr/bin/a', '/usr/bin/b b', '/tmp/new\nline', '/tmp/\xff'].map((name) => file(name));

function temporaryFolder(t: { after(fn: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'assay-log-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** What the ima room makes of the list must be what the PCRs hold. */
function assertAgrees(log: MeasurementLog, tpm: MemoryPcrs): void {
  const list = readFileSync(log.path);
  const replay = new ListReplay({ banks: tpm.banks });
  assert.equal(replay.run(list).consumed, list.length);
  assert.deepEqual(replay.badTemplateDigests, []);
  for (const bank of tpm.banks) {
    assert.equal(replay.state().pcrs[bank]?.['10'], tpm.value(bank, 10).toString('hex'), bank);
  }
  assert.equal(log.bytes, list.length);
}

test('a list begins with boot_aggregate over PCR 0 to 9 and agrees with PCR 10 in every bank', async (t) => {
  const tpm = new MemoryPcrs();
  tpm.values.set('sha256 7', Buffer.alloc(32, 7));
  const log = await MeasurementLog.open(temporaryFolder(t), tpm);
  await log.add(FILES);
  await log.add(FILES);
  await log.add([file('/usr/bin/a', 'changed')]);
  assert.equal(log.entries, 6);
  assertAgrees(log, tpm);
  const first = readEntries(readFileSync(log.path)).entries[0];
  const pcrs = Array.from({ length: 10 }, (_, pcr) => Buffer.alloc(32, pcr === 7 ? 7 : 0));
  const aggregate = encodeEntry({ path: Buffer.from('boot_aggregate'), sha256: digest('sha256', ...pcrs) });
  assert.deepEqual(Buffer.from(first?.data ?? []), aggregate.templateData);
  await log.close();
});

test('calls that overlap are listed together, each file once', async (t) => {
  const tpm = new MemoryPcrs();
  const log = await MeasurementLog.open(temporaryFolder(t), tpm);
  await Promise.all(FILES.flatMap((one) => [log.add([one]), log.add([one])]));
  assert.equal(log.entries, 5);
  assertAgrees(log, tpm);
  await log.close();
});

test('whatever a crash leaves on disk beyond the last extend is completed or cut off, at every byte', async (t) => {
  const aggregate = { path: Buffer.from('boot_aggregate'), sha256: digest('sha256', Buffer.alloc(320)) };
  const encoded = [aggregate, ...FILES].map((one) => encodeEntry(one).bytes);
  const list = Buffer.concat(encoded);
  const ends = encoded.map((_, index) => Buffer.concat(encoded.slice(0, index + 1)).length);
  const { entries } = readEntries(list);
  const folder = temporaryFolder(t);
  let states = 0;
  for (let extended = 0; extended <= entries.length; extended++) {
    const synced = ends[extended - 1] ?? 0; // what is in the PCR was synced before
    for (let length = synced; length <= list.length; length += length - synced < 100 ? 1 : 41) {
      for (const tail of [Buffer.alloc(0), length % 2 === 0 ? Buffer.alloc(40) : Buffer.alloc(5, 0xff)]) {
        const tpm = new MemoryPcrs(['sha1', 'sha256']);
        for (const { data } of entries.slice(0, extended)) {
          await tpm.extend(10, { sha1: digest('sha1', data), sha256: digest('sha256', data) });
        }
        const place = join(folder, String(states++));
        mkdirSync(place);
        const left = Buffer.concat([list.subarray(0, length), tail]);
        writeFileSync(join(place, 'boot-1-0.ima'), left);
        const log = await MeasurementLog.open(place, tpm);
        // Zeros may happen to be what an entry still lacked. An empty list gets its boot_aggregate.
        const whole = ends.filter((end) => left.subarray(0, end).equals(list.subarray(0, end))).length;
        assert.equal(log.entries, Math.max(1, whole));
        assertAgrees(log, tpm);
        await log.add(FILES);
        assert.equal(log.entries, entries.length);
        assertAgrees(log, tpm);
        await log.close();
      }
    }
  }
  assert.ok(states > 500);
});

test('a TPM that fails before or after any extend: the next call, and the next start, complete the list', async (t) => {
  for (const sameProcess of [true, false]) {
    for (const done of [true, false]) {
      for (let at = 1; at <= FILES.length; at++) {
        const tpm = new MemoryPcrs();
        const folder = temporaryFolder(t);
        let log = await MeasurementLog.open(folder, tpm);
        tpm.crash = { at, done };
        await assert.rejects(log.add(FILES), Crash);
        tpm.crash = undefined;
        if (!sameProcess) {
          await log.close();
          log = await MeasurementLog.open(folder, tpm);
        }
        await log.add([...FILES, file('/one/more')]);
        assert.equal(log.entries, FILES.length + 2);
        assertAgrees(log, tpm);
        await log.close();
      }
    }
  }
});

test('a TPM that fails at the very first extend leaves a list that the next start completes', async (t) => {
  for (const done of [true, false]) {
    const tpm = new MemoryPcrs();
    const folder = temporaryFolder(t);
    tpm.crash = { at: 0, done };
    await assert.rejects(MeasurementLog.open(folder, tpm), Crash);
    tpm.crash = undefined;
    const log = await MeasurementLog.open(folder, tpm);
    assert.equal(log.entries, 1);
    assertAgrees(log, tpm);
    await log.close();
  }
});

test('a new boot of the TPM begins a new list and keeps the last one beside it', async (t) => {
  const tpm = new MemoryPcrs();
  const folder = temporaryFolder(t);
  for (const resetCount of [1, 2, 3]) {
    tpm.reset({ resetCount, restartCount: 0 });
    const log = await MeasurementLog.open(folder, tpm);
    await log.add(FILES);
    assert.equal(log.entries, 5);
    assertAgrees(log, tpm);
    await log.close();
  }
  assert.deepEqual(readdirSync(folder).sort(), ['boot-2-0.ima', 'boot-3-0.ima']);
});

test('Startup(CLEAR) after Shutdown(STATE) clears the PCRs and moves only restartCount: a new list too', async (t) => {
  const tpm = new MemoryPcrs();
  const folder = temporaryFolder(t);
  const before = await MeasurementLog.open(folder, tpm);
  await before.add(FILES);
  await before.close();
  tpm.reset({ resetCount: 1, restartCount: 1 });
  const log = await MeasurementLog.open(folder, tpm);
  assert.equal(log.entries, 1);
  assertAgrees(log, tpm);
  await log.close();
});

test('a suspend moves restartCount and keeps the PCRs: the list goes on', async (t) => {
  const tpm = new MemoryPcrs();
  const folder = temporaryFolder(t);
  const before = await MeasurementLog.open(folder, tpm);
  await before.add(FILES);
  await before.close();
  tpm.counters = { resetCount: 1, restartCount: 1 };
  const log = await MeasurementLog.open(folder, tpm);
  assert.equal(log.entries, 5);
  assertAgrees(log, tpm);
  await log.close();
});

test('another TPM with the same counters gets a list of its own', async (t) => {
  const folder = temporaryFolder(t);
  const before = await MeasurementLog.open(folder, new MemoryPcrs());
  await before.add(FILES);
  await before.close();
  const other = new MemoryPcrs();
  other.values.set('sha256 0', Buffer.alloc(32, 1));
  const log = await MeasurementLog.open(folder, other);
  assert.equal(log.entries, 1);
  assertAgrees(log, other);
  await log.close();
});

test('a PCR that the list does not explain is an error that says what to do, and nothing is written', async (t) => {
  const folder = temporaryFolder(t);
  const tpm = new MemoryPcrs();
  const log = await MeasurementLog.open(folder, tpm);
  await log.add(FILES);
  await log.close();
  const list = readFileSync(log.path);
  const isContradiction = (error: unknown) =>
    error instanceof AgentError && error.code === 'agent.list-contradicts-pcr' && error.advice !== undefined;

  const flipped = Buffer.from(list);
  flipped[60] = (flipped[60] ?? 0) ^ 1;
  for (const damaged of [flipped, list.subarray(0, -1), Buffer.alloc(0)]) {
    writeFileSync(log.path, damaged);
    await assert.rejects(MeasurementLog.open(folder, tpm), isContradiction);
    assert.deepEqual(readFileSync(log.path), damaged);
  }
  writeFileSync(log.path, list);
  await tpm.extend(10, Object.fromEntries(tpm.banks.map((bank) => [bank, Buffer.alloc(digestInfo(bank).size, 1)])));
  await assert.rejects(MeasurementLog.open(folder, tpm), isContradiction);
});

test('one bank that disagrees with the others is a contradiction', async (t) => {
  const folder = temporaryFolder(t);
  const tpm = new MemoryPcrs();
  const log = await MeasurementLog.open(folder, tpm);
  await log.close();
  tpm.values.set('sha1 10', Buffer.alloc(20, 9));
  await assert.rejects(MeasurementLog.open(folder, tpm), AgentError);
});

test('a TPM device is not extended unless that is asked for', async (t) => {
  const tpm = new MemoryPcrs();
  tpm.kind = 'device';
  const folder = temporaryFolder(t);
  await assert.rejects(MeasurementLog.open(folder, tpm), { code: 'agent.extend-not-allowed' });
  assert.equal(tpm.extends, 0);
  const log = await MeasurementLog.open(folder, tpm, { extend: true });
  assertAgrees(log, tpm);
  await log.close();
});

test('any bytes are read as entries up to the first that cannot be one', () => {
  const good = encodeEntry(file('/usr/bin/a')).bytes;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (tail) => {
      const { entries, wholeBytes } = readEntries(Buffer.concat([good, tail]));
      assert.ok(entries.length >= 1 && wholeBytes >= good.length);
    }),
  );
});
