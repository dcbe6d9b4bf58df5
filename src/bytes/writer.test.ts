import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from './writer.ts';

test('every kind of field may be the one that makes the writer grow', () => {
  for (let capacity = 0; capacity < 64; capacity++) {
    const writer = new ByteWriter(capacity).u8(1).u16be(0x0203).u32be(0x04050607).u64be(0x08090a0b0c0d0e0fn);
    writer
      .u16le(0x1110)
      .u32le(0x15141312)
      .u64le(0x1d1c1b1a19181716n)
      .bytes(new Uint8Array([0x1e, 0x1f]));
    assert.deepEqual(
      [...writer.finish()],
      Array.from({ length: 31 }, (_, i) => i + 1),
      `capacity ${capacity}`,
    );
  }
});
