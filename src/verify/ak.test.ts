import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { akPublicOf } from '../../test/fixtures/machine.ts';
import { checkAkPublic, parseEnrolmentRecord, writeEnrolmentRecord } from './index.ts';

const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const codesOf = (attributes: Record<string, boolean>): string[] =>
  checkAkPublic(akPublicOf(publicKey, attributes)).map(({ code }) => code);

test('a restricted signing key of the TPM’s own is fit', () => {
  assert.deepEqual(codesOf({}), []);
});

test('each attribute that is wrong is refused by its own code', () => {
  assert.deepEqual(codesOf({ restricted: false }), ['ak.unrestricted']);
  assert.deepEqual(codesOf({ sign: false }), ['ak.not-signing']);
  assert.deepEqual(codesOf({ decrypt: true }), ['ak.decrypts']);
  assert.deepEqual(codesOf({ fixedTPM: false }), ['ak.not-fixed-tpm']);
  assert.deepEqual(codesOf({ fixedParent: false }), ['ak.not-fixed-parent']);
  assert.deepEqual(codesOf({ sensitiveDataOrigin: false }), ['ak.foreign-origin']);
});

test('any bytes are judged and none throws', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => checkAkPublic(bytes).length > 0));
});

test('an enrolment survives its record', () => {
  const enrolment = {
    hostId: 'h1',
    akPublic: Buffer.from(akPublicOf(publicKey)),
    selection: { bank: 'sha256', pcrs: [0, 7, 10] },
    measurer: 'kernel',
    assurance: 'swtpm',
  } as const;
  assert.deepEqual(parseEnrolmentRecord(writeEnrolmentRecord(enrolment)), enrolment);
  for (const broken of [
    '',
    '{}',
    '{"assayEnrolment":1}',
    writeEnrolmentRecord({ ...enrolment, selection: { bank: 'sha1', pcrs: [0] } }),
  ]) {
    assert.throws(() => parseEnrolmentRecord(broken), { code: 'enrolment.malformed' });
  }
});
