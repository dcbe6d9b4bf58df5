import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fields, flag, list, number, oneOf, optional, record, ShapeError, text } from './check.ts';

interface Row {
  readonly name: string;
  readonly size?: number | undefined;
  readonly kind: 'a' | 'b';
}
const row = fields<Row>({ name: text, size: optional(number), kind: oneOf('a', 'b') });

test('a value of the shape is read, and fields that were not asked for are left out', () => {
  assert.deepEqual(list(row)([{ name: 'x', kind: 'b', other: 1, size: null }], 'rows'), [{ name: 'x', kind: 'b' }]);
  assert.deepEqual(record(flag)({ yes: true }, 'flags'), { yes: true });
});

test('what is not of the shape is refused with its place', () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [[{ name: 1, kind: 'a' }], /text at rows\[0\]\.name/],
    [[{ name: 'x', kind: 'c' }], /a or b at rows\[0\]\.kind/],
    [[{ name: 'x', kind: 'a', size: Number.NaN }], /number at rows\[0\]\.size/],
    [{}, /list at rows/],
    [[null], /object at rows\[0\]/],
    [[[]], /object at rows\[0\]/],
  ];
  for (const [value, message] of cases) {
    assert.throws(
      () => list(row)(value, 'rows'),
      (error) => error instanceof ShapeError && message.test(error.message),
    );
  }
});
