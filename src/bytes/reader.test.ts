import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ParseError } from './error.ts';
import { fromHex } from './hex.ts';
import { ByteReader } from './reader.ts';

const isAt = (code: string, offset: number) => (error: unknown) =>
  error instanceof ParseError && error.code === code && error.offset === offset;

test('a read past the end says where, and allocates nothing', () => {
  const reader = new ByteReader(Buffer.alloc(6));
  reader.u32be('count');
  assert.throws(() => reader.bytes(0xffffffff, 'event'), isAt('parse.truncated', 4));
  assert.throws(() => reader.bytes(-1, 'event'), isAt('parse.truncated', 4));
  assert.throws(() => reader.u32be('size'), isAt('parse.truncated', 4));
  assert.equal(reader.u16be('rest'), 0);
});

test('a section reports offsets in the whole input', () => {
  const reader = new ByteReader(Buffer.alloc(8));
  reader.u16be('head');
  const section = reader.section(4, 'body');
  section.u16be('first');
  assert.throws(() => section.u32be('second'), isAt('parse.truncated', 4));
  assert.throws(() => section.end('body'), isAt('parse.trailing', 4));
});

test('hex text is digits in pairs and nothing else', () => {
  assert.deepEqual(fromHex('00fF'), Buffer.from([0, 255]));
  assert.throws(() => fromHex('00 ff'), isAt('parse.invalid', 2));
  assert.throws(() => fromHex('00f'), isAt('parse.truncated', 3));
});
