import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, toHex } from '../../bytes/index.ts';
import { cmacSequence, finishSequence, updateSequence } from './sequence.ts';
import { type CipherMode, checkSymmetricKey, cryptChained } from './symmetric.ts';

const AES = { algorithm: 'aes', keyBits: 128 } as const;
const TDES = { algorithm: 'tdes', keyBits: 192 } as const;
const KEY = fromHex('2b7e151628aed2a6abf7158809cf4f3c');
// NIST SP 800-38A, F.1: the four blocks of all its examples
const TEXT = fromHex(
  '6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51' +
    '30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710',
);
const IV = fromHex('000102030405060708090a0b0c0d0e0f');

test('the modes are those of SP 800-38A, F.1 to F.5', () => {
  const encrypt = (mode: CipherMode, iv: Uint8Array) =>
    toHex(cryptChained('encrypt', AES, mode, KEY, iv, TEXT.subarray(0, 16)).outData);
  assert.equal(encrypt('ecb', new Uint8Array(0)), '3ad77bb40d7a3660a89ecaf32466ef97');
  assert.equal(encrypt('cbc', IV), '7649abac8119b246cee98e9b12e9197d');
  assert.equal(encrypt('cfb', IV), '3b3fd92eb72dad20333449f8e83cfb4a');
  assert.equal(encrypt('ofb', IV), '3b3fd92eb72dad20333449f8e83cfb4a');
  assert.equal(encrypt('ctr', fromHex('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff')), '874d6191b620e3261bef6864990db6ce');
});

test('data in parts of whole blocks, each beginning with the ivOut before it, is the data at once', () => {
  const modes = fc.constantFrom<CipherMode>('ctr', 'ofb', 'cbc', 'cfb', 'ecb');
  const direction = fc.constantFrom('encrypt', 'decrypt');
  fc.assert(
    fc.property(modes, direction, fc.integer({ min: 0, max: 4 }), (mode, way, blocks) => {
      const iv = mode === 'ecb' ? new Uint8Array(0) : IV;
      const whole = cryptChained(way, AES, mode, KEY, iv, TEXT);
      const first = cryptChained(way, AES, mode, KEY, iv, TEXT.subarray(0, blocks * 16));
      const second = cryptChained(way, AES, mode, KEY, first.ivOut, TEXT.subarray(blocks * 16));
      assert.deepEqual(Buffer.concat([first.outData, second.outData]), whole.outData);
      assert.deepEqual(second.ivOut, whole.ivOut);
    }),
  );
});

test('keys of DES that are weak, or twice the same, are refused', () => {
  const refusal = (key: string): number | undefined => {
    try {
      checkSymmetricKey(TDES, fromHex(key));
    } catch (error) {
      return error instanceof Error && 'rc' in error ? Number(error.rc) : -1;
    }
    return undefined;
  };
  const [strong, other] = ['0123456789abcdef', '23456789abcdef01'];
  assert.equal(refusal(`${strong}${other}456789abcdef0123`), undefined);
  assert.equal(refusal(`${strong}${strong}${other}`), 0x9c);
  assert.equal(refusal(`${strong}0123456789abcdee${other}`), 0x9c, 'a parity bit makes no other key');
  for (const weak of ['0101010101010101', 'e0fee0fef1fef1fe', '1fe001fe0ef101fe']) {
    assert.equal(refusal(`${strong}${weak}${other}`), 0x9c, weak);
  }
  assert.equal(refusal(strong), 0x87);
});

test('CMAC is that of SP 800-38B, D.1, whatever the parts', () => {
  const expected: readonly (readonly [size: number, mac: string])[] = [
    [0, 'bb1d6929e95937287fa37d129b756746'],
    [16, '070a16b46b4d4144f79bdd9dd04a287c'],
    [40, 'dfa66747de9ae63030ca32611497c827'],
    [64, '51f0bebf7e3b9d92fc49741779363cfe'],
  ];
  for (const [size, mac] of expected) {
    for (const part of [1, 7, 16, 64]) {
      let sequence = cmacSequence(new Uint8Array(0), AES, KEY);
      for (let at = 0; at < size; at += part) {
        const next = updateSequence(sequence, TEXT.subarray(at, Math.min(size, at + part)));
        assert.ok(next.kind === 'cmac');
        sequence = next;
      }
      assert.equal(toHex(finishSequence(sequence)), mac, `${size} bytes, ${part} at once`);
    }
  }
});
