import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { STATE_SIZE } from '../sys/index.ts';
import { AppraiseError } from './error.ts';
import { inJournal, Journal, RECORD_SIZE, sealRecord } from './journal.ts';

const LABEL = 7;

/** @param ino inode number @param time stands for the times of the state */
function state(ino: number, time: number): Buffer {
  const bytes = Buffer.alloc(STATE_SIZE);
  bytes.writeUInt32LE(ino, 0);
  bytes.writeUInt32LE(time, 16);
  return bytes;
}

function record(ino: number, time: number, digest = Buffer.alloc(64, ino)): Buffer {
  const bytes = Buffer.concat([state(ino, time)], RECORD_SIZE);
  sealRecord(bytes, 0, LABEL, digest);
  return bytes;
}

function withJournal(use: (path: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'assay-journal-'));
  try {
    use(join(folder, 'journal'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function write(path: string, ...records: readonly Buffer[]): void {
  const journal = new Journal(path);
  journal.append(Buffer.concat(records));
  journal.close();
}

function digestIn(path: string, wanted: Buffer, label = LABEL): Buffer | undefined {
  const journal = new Journal(path);
  journal.close();
  return inJournal(journal.index, wanted, label);
}

const knows = (path: string, wanted: Buffer, label = LABEL): boolean => digestIn(path, wanted, label) !== undefined;

test('a journal knows the states that were noted, for the same label alone', () => {
  withJournal((path) => {
    write(path, ...Array.from({ length: 1000 }, (_, ino) => record(ino, 5)));
    assert.equal(knows(path, state(999, 5)), true);
    assert.equal(knows(path, state(999, 6)), false);
    assert.equal(knows(path, state(1000, 5)), false);
    assert.equal(knows(path, state(999, 5), LABEL + 1), false);
  });
});

test('the last record of an inode counts', () => {
  withJournal((path) => {
    write(path, record(1, 5));
    write(path, record(1, 6));
    assert.equal(knows(path, state(1, 5)), false);
    assert.equal(knows(path, state(1, 6)), true);
  });
});

test('a torn tail is cut off and what stands before it is known', () => {
  withJournal((path) => {
    write(path, record(1, 5));
    const whole = statSync(path).size;
    appendFileSync(path, record(2, 5).subarray(0, 40));
    assert.equal(knows(path, state(1, 5)), true);
    assert.equal(statSync(path).size, whole);
    write(path, record(3, 5));
    assert.equal(knows(path, state(3, 5)), true);
  });
});

test('a damaged record is not believed, nor what follows it', () => {
  withJournal((path) => {
    write(path, record(1, 5), record(2, 5), record(3, 5));
    const bytes = readFileSync(path);
    const at = bytes.length - 2 * RECORD_SIZE;
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    writeFileSync(path, bytes);
    assert.equal(knows(path, state(1, 5)), true);
    assert.equal(knows(path, state(2, 5)), false);
    assert.equal(knows(path, state(3, 5)), false);
  });
});

test('a journal that is mostly of the past is rewritten with what counts', () => {
  withJournal((path) => {
    write(path, ...Array.from({ length: 10 }, (_, time) => record(1, time)));
    assert.equal(knows(path, state(1, 9)), true);
    assert.equal(statSync(path).size, 64 + RECORD_SIZE);
    assert.equal(knows(path, state(1, 9)), true);
  });
});

test('a record holds the digest of the content, a shorter one padded', () => {
  withJournal((path) => {
    write(path, record(1, 5, Buffer.alloc(64, 0xee)), record(2, 5, Buffer.alloc(32, 0xaa)));
    assert.deepEqual(digestIn(path, state(1, 5)), Buffer.alloc(64, 0xee));
    assert.deepEqual(digestIn(path, state(2, 5)), Buffer.concat([Buffer.alloc(32, 0xaa)], 64));
  });
});

test('a journal of the first version, which has no digests, is begun anew', () => {
  withJournal((path) => {
    writeFileSync(path, Buffer.concat([Buffer.from('assay label journal 1\n'.padEnd(64, '\n')), Buffer.alloc(64, 1)]));
    assert.equal(knows(path, state(1, 5)), false);
    write(path, record(1, 5));
    assert.equal(knows(path, state(1, 5)), true);
  });
});

test('a file that is no journal is refused and left as it is', () => {
  withJournal((path) => {
    writeFileSync(path, 'precious');
    assert.throws(
      () => new Journal(path),
      (error) => error instanceof AppraiseError && error.code === 'appraise.not-a-journal',
    );
    assert.equal(readFileSync(path, 'utf8'), 'precious');
  });
});

test('a journal that others could have written is refused', () => {
  withJournal((path) => {
    write(path, record(1, 1));
    chmodSync(path, 0o620);
    const isOthers = (error: unknown) => error instanceof AppraiseError && error.code === 'appraise.journal-of-another';
    assert.throws(() => new Journal(path), isOthers);
    chmodSync(path, 0o600);
    write(path, record(2, 1));
    if (process.geteuid?.() !== 0) return;
    chownSync(path, 1000, 0);
    assert.throws(() => new Journal(path), isOthers);
  });
});
