import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '../bytes/index.ts';
import { type Policy, policyDigest } from '../tpm/index.ts';
import { KeyError } from './error.ts';
import { encodePolicyFile, parsePolicyFile } from './policy-file.ts';
import { policyKeyArea } from './signed-policy.ts';

const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = policyKeyArea(Buffer.from(publicKey.export({ type: 'spki', format: 'pem' })));
const pcr = (fill: number): Policy => [
  { kind: 'pcr', values: [{ bank: 'sha256', pcr: 7, value: Buffer.alloc(32, fill) }] },
];
const POLICIES: readonly Policy[] = [
  [{ kind: 'or', branches: [pcr(1), [...pcr(2), { kind: 'auth-value' }]] }, { kind: 'auth-value' }],
  [{ kind: 'authorize', key, policyRef: Buffer.from('ref') }],
];

test('every kind of policy is read as it was written', () => {
  const text = encodePolicyFile(POLICIES);
  const read = parsePolicyFile(text);
  assert.deepEqual(
    read.map((policy) => toHex(policyDigest(policy, 'sha256'))),
    POLICIES.map((policy) => toHex(policyDigest(policy, 'sha256'))),
  );
  assert.equal(encodePolicyFile(read), text);
});

test('what is no policy file is refused with its place', () => {
  const refused = (text: string) => {
    try {
      parsePolicyFile(text);
    } catch (error) {
      assert.ok(error instanceof KeyError && error.code === 'key.malformed', String(error));
      return error.message;
    }
    return undefined;
  };
  assert.match(refused('{"assayKeyPolicy":1,"policies":[[{"pcr":{"sha256":{"24":"00"}}}]]}') ?? '', /policies/);
  assert.match(refused('{"assayKeyPolicy":2,"policies":[]}') ?? '', /assayKeyPolicy/);
  assert.match(refused('nothing') ?? '', /not JSON/);
  fc.assert(
    fc.property(fc.json(), (text) => void refused(text)),
    { numRuns: 200 },
  );
});
