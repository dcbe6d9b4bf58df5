import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { VtpmError } from '../error.ts';
import { openState, type StateLayer, type StatePart, sealState } from './state-blob.ts';

const NAME = '/var/lib/vm/tpm2-00.permall';
const KEYS = [undefined, Buffer.alloc(16, 1), Buffer.alloc(32, 2)] as const;
const PLAIN = Buffer.from('seeds, proofs and what else a TPM keeps');

const isRefused = (error: unknown): boolean =>
  error instanceof VtpmError &&
  ['vtpm.state-damaged', 'vtpm.state-key'].includes(error.code) &&
  error.exitCode === 2 &&
  error.message.startsWith(NAME);

for (const key of KEYS) {
  const named = key === undefined ? 'no key' : `a key of ${key.length * 8} bits`;

  test(`with ${named} a blob opens to what was sealed, and with any bit of any byte changed it is refused by name`, () => {
    const blob = sealState('permanent', 'rest', PLAIN, key);
    assert.deepEqual(Buffer.from(openState('permanent', 'rest', blob, key, NAME)), PLAIN);
    for (let at = 0; at < blob.length * 8; at++) {
      const changed = Buffer.from(blob);
      changed[at >> 3] = (changed[at >> 3] ?? 0) ^ (1 << (at & 7));
      assert.throws(() => openState('permanent', 'rest', changed, key, NAME), isRefused, `bit ${at}`);
    }
  });

  test(`with ${named} what was cut, lengthened or is anything else is refused`, () => {
    const blob = sealState('permanent', 'rest', PLAIN, key);
    for (let size = 0; size < blob.length; size++) {
      assert.throws(() => openState('permanent', 'rest', blob.subarray(0, size), key, NAME), isRefused);
    }
    assert.throws(() => openState('permanent', 'rest', Buffer.concat([blob, Buffer.of(0)]), key, NAME), isRefused);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        assert.throws(() => openState('permanent', 'rest', bytes, key, NAME), isRefused);
      }),
    );
  });

  test(`with ${named} a blob is what it was sealed as, and nothing else`, () => {
    const blob = sealState('permanent', 'rest', PLAIN, key);
    const others: readonly (readonly [StatePart, StateLayer])[] = [
      ['volatile', 'rest'],
      ['machine', 'rest'],
      ['permanent', 'travel'],
    ];
    for (const [part, layer] of others) assert.throws(() => openState(part, layer, blob, key, NAME), isRefused);
    for (const other of KEYS.filter((one) => one !== key)) {
      assert.throws(
        () => openState('permanent', 'rest', blob, other, NAME),
        (error: unknown) => isRefused(error) && error instanceof VtpmError && error.code === 'vtpm.state-key',
      );
    }
  });
}

test('another key of the same size does not open it, and the same state is never sealed to the same bytes twice', () => {
  const key = Buffer.alloc(32, 2);
  const [one, two] = [sealState('volatile', 'rest', PLAIN, key), sealState('volatile', 'rest', PLAIN, key)];
  assert.equal(one.equals(two), false);
  assert.equal(one.includes(PLAIN.subarray(0, 8)), false);
  assert.throws(() => openState('volatile', 'rest', one, Buffer.alloc(32, 3), NAME), isRefused);
});
