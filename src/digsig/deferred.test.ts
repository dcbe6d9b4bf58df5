import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { digest } from '../bytes/index.ts';
import { DeferredSignatures, Keyring, openSigner, parseSignature, readPublicKeys } from './index.ts';
import { verifySignature } from './keyring.ts';
import { signDigest } from './sign.ts';

function keyPair(kind: 'P-256' | 'rsa') {
  const made =
    kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 1024 })
      : generateKeyPairSync('ec', { namedCurve: kind });
  const signer = openSigner({
    key: Buffer.from(made.privateKey.export({ type: 'pkcs8', format: 'der' })),
    source: kind,
  });
  return { signer, spki: made.publicKey.export({ type: 'spki', format: 'der' }) };
}

const one = keyPair('P-256');
const two = keyPair('P-256');
const rsa = keyPair('rsa');
const keyring = new Keyring([one, two, rsa].flatMap(({ spki }) => readPublicKeys(spki, { source: 'test' })));

function judge(pair: typeof one, content: string, deferred?: DeferredSignatures, signed = content): boolean {
  const label = parseSignature(signDigest(pair.signer, 'sha256', digest('sha256', Buffer.from(signed))));
  const over = { algorithm: 'sha256', digest: digest('sha256', Buffer.from(content)), type: 3 } as const;
  return verifySignature(keyring, label, over, deferred).valid;
}

test('signatures are deferred once that is worth it, and each gets its own answer', () => {
  const deferred = new DeferredSignatures();
  assert.equal(judge(one, 'first', deferred, 'another'), false);
  assert.equal(deferred.count, 0, 'a few are verified at once');
  for (const pair of [one, two]) for (let i = 0; i < 500; i++) assert.ok(judge(pair, `${i}`));
  assert.equal(judge(rsa, 'content', deferred, 'another'), false);
  assert.equal(deferred.count, 0, 'RSA gains nothing');
  const wanted = Array.from({ length: 300 }, (_, i) => i % 7 !== 0);
  for (const [i, isRight] of wanted.entries()) {
    assert.equal(deferred.count, i);
    assert.ok(judge(i % 2 === 0 ? one : two, `${i}`, deferred, isRight ? `${i}` : 'another'));
  }
  assert.deepEqual(
    wanted.map((_, i) => deferred.isValid(i)),
    wanted,
  );
  assert.ok(judge(one, 'later', deferred));
  assert.equal(deferred.isValid(300), true);
  assert.equal(deferred.isValid(301), false, 'nobody deferred it');
});
