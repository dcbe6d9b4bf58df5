import assert from 'node:assert/strict';
import { constants, createPublicKey, generateKeyPairSync, privateEncrypt, sign } from 'node:crypto';
import { test } from 'node:test';
import { rsaRecoverer, rsaSigner } from './rsa.ts';

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const signed = Buffer.from('what was signed');
const signature = privateEncrypt({ key: privateKey, padding: constants.RSA_PKCS1_PADDING }, signed);

for (const engine of ['openssl', 'node'] as const) {
  test(`${engine}: what was signed comes back, and nothing else does`, () => {
    const recoverer = rsaRecoverer(publicKey, engine);
    assert.equal(recoverer.engine, engine);
    assert.deepEqual(recoverer.recover(signature), signed);
    const wrong = Buffer.from(signature);
    wrong.writeUInt8(wrong.readUInt8(100) ^ 1, 100);
    assert.equal(recoverer.recover(wrong), undefined);
    assert.equal(recoverer.recover(Buffer.alloc(256, 0xff)), undefined, 'above the modulus');
    assert.equal(recoverer.recover(Buffer.alloc(0)), undefined);
    assert.deepEqual(recoverer.recover(signature), signed, 'a refusal leaves nothing behind');
  });
}

for (const engine of ['openssl', 'node'] as const) {
  test(`${engine}: signs as privateEncrypt does, and refuses what does not fit the modulus`, () => {
    const signer = rsaSigner(privateKey, engine);
    assert.equal(signer.engine, engine);
    assert.deepEqual(signer.sign(signed), signature);
    assert.equal(signer.sign(Buffer.alloc(246)), undefined);
    assert.equal(signer.sign(Buffer.alloc(245))?.length, 256);
    assert.deepEqual(signer.sign(signed), signature, 'a refusal leaves nothing behind');
  });
}

test('a refusal leaves nothing in the error queue of node:crypto', () => {
  rsaRecoverer(publicKey, 'openssl').recover(Buffer.alloc(256));
  assert.equal(sign('sha256', signed, privateKey).length, 256);
  assert.equal(createPublicKey(privateKey).asymmetricKeyType, 'rsa');
});
