import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { digest } from '../../bytes/index.ts';
import { decode, encode } from '../../tpm/index.ts';
import { finishHash, HASH_STATE, startHash, updateHash } from './hash-state.ts';
import { HASHES } from './limits.ts';

test('a hash that is put aside after every part is the hash of the whole', () => {
  fc.assert(
    fc.property(fc.constantFrom(...HASHES), fc.array(fc.uint8Array({ maxLength: 300 })), (hashAlg, parts) => {
      let state = startHash(hashAlg);
      for (const part of parts) state = decode(HASH_STATE, encode(HASH_STATE, updateHash(state, part)));
      assert.deepEqual(Buffer.from(finishHash(state)), digest(hashAlg, ...parts));
      assert.deepEqual(finishHash(state), finishHash(state), 'finishing leaves the state as it is');
    }),
  );
});
