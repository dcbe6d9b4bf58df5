import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { isRefusal, NO_FACTS, NO_SCHEME, NONE, signingKey, startedTpm } from '../../../test/fixtures/started-tpm.ts';
import {
  EK_PROFILES,
  encode,
  publicKeyOf,
  TPM_RH,
  TPM2_CertifyX509,
  TPM2_CreatePrimary,
  TPM2_FlushContext,
  TPMA_OBJECT,
  type TPMT_PUBLIC,
  type TpmClient,
} from '../../tpm/index.ts';
import { bitString, element, elementsOf, integer, objectIdentifier, TAG } from './der.ts';

const sequence = (...parts: readonly Uint8Array[]): Buffer => element(TAG.sequence, ...parts);
const UTF8 = 0x0c;
const UTC_TIME = 0x17;
const SET = 0x31;

const name = (text: string): Buffer =>
  sequence(element(SET, sequence(objectIdentifier('2.5.4.3'), element(UTF8, Buffer.from(text)))));
const VALIDITY = sequence(
  element(UTC_TIME, Buffer.from('260101000000Z')),
  element(UTC_TIME, Buffer.from('360101000000Z')),
);

/** RFC 5280, 4.2.1.3. @param bits of the first octet, digitalSignature the highest */
function keyUsage(bits: number): Buffer {
  const octets = element(TAG.octetString, element(TAG.bitString, Buffer.of(0, bits)));
  return sequence(objectIdentifier('2.5.29.15'), octets);
}
const DIGITAL_SIGNATURE = 0x80;
const KEY_ENCIPHERMENT = 0x20;

/** TCG OID Registry: tcg-tpmaObject, of which the TPM says whether it is so. */
function tpmaObject(area: TPMT_PUBLIC): Buffer {
  const bits = Buffer.concat([Buffer.of(0), encode(TPMA_OBJECT, area.objectAttributes)]);
  return sequence(objectIdentifier('2.23.133.10.1.1.1'), element(TAG.octetString, element(TAG.bitString, bits)));
}

function partial(...extensions: readonly Uint8Array[]): Buffer {
  return sequence(name('issuer'), VALIDITY, name('subject'), element(TAG.explicit + 3, sequence(...extensions)));
}

async function primary(client: TpmClient, inPublic: TPMT_PUBLIC) {
  const { objectHandle, outPublic } = await client.execute(TPM2_CreatePrimary, {
    primaryHandle: TPM_RH.OWNER,
    inPublic,
    ...NO_FACTS,
  });
  return { handle: objectHandle, area: outPublic };
}

const RSA: TPMT_PUBLIC = {
  ...signingKey(),
  type: 'rsa',
  parameters: {
    symmetric: { algorithm: 'null' },
    scheme: { scheme: 'rsassa', hashAlg: 'sha256' },
    keyBits: 2048,
    exponent: 0,
  },
  unique: NONE,
};

const certify = (client: TpmClient, objectHandle: number, signHandle: number, partialCertificate: Uint8Array) =>
  client.execute(TPM2_CertifyX509, {
    objectHandle,
    signHandle,
    reserved: NONE,
    inScheme: NO_SCHEME,
    partialCertificate,
  });

for (const [kind, template] of [
  ['P-256', signingKey()],
  ['RSA-2048', RSA],
] as const) {
  test(`a certificate that the TPM completes with ${kind} is one to OpenSSL, signed by the key`, async () => {
    const { client } = startedTpm();
    const signer = await primary(client, template);
    const subject = await primary(client, signingKey('null'));
    const given = partial(keyUsage(DIGITAL_SIGNATURE), tpmaObject(subject.area));
    const { addedToCertificate, tbsDigest, signature } = await certify(client, subject.handle, signer.handle, given);

    const [added] = elementsOf(addedToCertificate) ?? assert.fail();
    const [version, serial, algorithm, key] = (elementsOf(added?.content ?? NONE) ?? []).map(({ whole }) => whole);
    const [outer] = elementsOf(given) ?? [];
    const [issuer, validity, subjectName, extensions] = (elementsOf(outer?.content ?? NONE) ?? []).map(
      ({ whole }) => whole,
    );
    const parts = [version, serial, algorithm, issuer, validity, subjectName, key, extensions];
    const tbs = sequence(...parts.map((part) => part ?? assert.fail('a part is missing')));
    assert.deepEqual(Buffer.from(tbsDigest), createHash('sha256').update(tbs).digest());
    const value =
      'signatureR' in signature
        ? sequence(integer(signature.signatureR), integer(signature.signatureS))
        : 'sig' in signature
          ? signature.sig
          : assert.fail(signature.sigAlg);
    const certificate = new X509Certificate(sequence(tbs, algorithm ?? NONE, bitString(value)));
    assert.ok(certificate.verify(publicKeyOf(signer.area)));
    assert.ok(certificate.publicKey.equals(publicKeyOf(subject.area)));
    assert.deepEqual([certificate.subject, certificate.issuer], ['CN=subject', 'CN=issuer']);
  });
}

test('a certificate that claims more of the key than is so is not signed', async () => {
  const { client } = startedTpm();
  const signer = await primary(client, signingKey());
  const refused = async (given: Uint8Array, code: Parameters<typeof isRefusal>[0], object = signer.handle) =>
    assert.rejects(certify(client, object, signer.handle, given), isRefusal(code));
  await refused(partial(keyUsage(KEY_ENCIPHERMENT)), 'VALUE');
  await refused(partial(tpmaObject(signer.area)), 'VALUE'); // no key usage
  const claimed = { ...signer.area, objectAttributes: { ...signer.area.objectAttributes, restricted: true } };
  await refused(partial(keyUsage(DIGITAL_SIGNATURE), tpmaObject(claimed)), 'ATTRIBUTES');
  await refused(partial(keyUsage(DIGITAL_SIGNATURE)).subarray(0, -1), 'SIZE');
  await refused(sequence(name('issuer'), VALIDITY), 'VALUE');

  const { template } = EK_PROFILES.p256;
  const objectAttributes = { ...template.objectAttributes, adminWithPolicy: false, userWithAuth: true };
  const storage = await primary(client, { ...template, objectAttributes, authPolicy: NONE });
  await refused(partial(keyUsage(DIGITAL_SIGNATURE)), 'VALUE', storage.handle);
  await client.execute(TPM2_FlushContext, { flushHandle: storage.handle });
  await certify(client, signer.handle, signer.handle, partial(keyUsage(DIGITAL_SIGNATURE)));
});
