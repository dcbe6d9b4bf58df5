import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makePe } from '../../../test/fixtures/pe-image.ts';
import { automaticSbatLevel, sbatDate, shimSbatLevel } from './secure-boot.ts';

const AUTOMATIC = 'sbat,1,2025021800\nshim,4\ngrub,5\n';

/** shim: sbat_var.S. Offsets count from behind the version. */
function section(version: number, automaticAt: number): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt32LE(version, 0);
  head.writeUInt32LE(automaticAt, 4);
  head.writeUInt32LE(8 + AUTOMATIC.length + 1, 8);
  return Buffer.concat([head, Buffer.from(`${AUTOMATIC}\0sbat,1,2025051000\n\0`)]);
}

test('shim’s automatic level of SBAT is found, with its date', () => {
  const level = automaticSbatLevel(section(0, 8));
  assert.equal(Buffer.from(level ?? []).toString(), AUTOMATIC);
  assert.equal(sbatDate(level ?? Buffer.alloc(0)), '2025021800');
});

test('a level in another form is none', () => {
  for (const content of [section(1, 8), section(0, 9), section(0, 4000), Buffer.alloc(16), Buffer.alloc(3)])
    assert.equal(automaticSbatLevel(content), undefined);
  assert.equal(sbatDate(Buffer.from('sbat,2,2025021800\n')), undefined);
});

test('an image without a level has none to bring', () => {
  const bytes = makePe([{ name: '.text', content: Buffer.alloc(16) }]);
  assert.equal(shimSbatLevel({ name: 'shim', bytes }), undefined);
});
