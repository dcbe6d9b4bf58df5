import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { gptDisk } from '../../../test/fixtures/gpt-disk.ts';
import { ByteReader } from '../../bytes/index.ts';
import { readGpt } from '../decode/gpt.ts';
import { partitionTableMeasurement } from './partition-table.ts';

const measured = (bytes: Uint8Array): Buffer => {
  const { over } = partitionTableMeasurement({ name: 'disk', bytes });
  assert.ok('bytes' in over);
  return Buffer.from(over.bytes);
};

test('header, number and the entries in use are measured, for both sizes of a sector', () => {
  for (const sector of [512, 4096]) {
    const event = measured(gptDisk(sector, [true, false, true]));
    assert.equal(event.length, 92 + 8 + 2 * 128);
    const { partitions } = readGpt(new ByteReader(event));
    assert.deepEqual(
      partitions.map(({ firstLba }) => firstLba),
      [0x0101010101010101n, 0x0303030303030303n],
    );
  }
});

test('a disk without a table, or with one that cannot be, is refused', () => {
  assert.throws(() => measured(Buffer.alloc(8192)), { code: 'boot.not-predictable' });
  const cut = gptDisk(512, [true]).subarray(0, 1100);
  assert.throws(() => measured(cut), { code: 'boot.not-predictable' });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 512, max: 620 }), fc.nat(255)), { maxLength: 6 }), (changes) => {
      const disk = gptDisk(512, [true, true]);
      for (const [at, value] of changes) disk.writeUInt8(value, at);
      try {
        measured(disk);
      } catch (error) {
        assert.ok(error instanceof Error && 'code' in error && error.code === 'boot.not-predictable');
      }
    }),
    { numRuns: 200 },
  );
});
