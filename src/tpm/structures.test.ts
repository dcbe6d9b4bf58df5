/**
 * Structures as tpm2-tools 5.4 wrote them on swtpm 0.7.1 (libtpms 0.9.2), in files of `-f tss`: what is read is what was
 * asked for, and is written back to the byte.
 */
import assert from 'node:assert/strict';
import { createHash, createPublicKey, verify } from 'node:crypto';
import { test } from 'node:test';
import { bytesEqual, fromHex, toHex } from '../bytes/index.ts';
import {
  type Codec,
  decode,
  encode,
  nvName,
  objectName,
  TPM2B_CREATION_DATA,
  TPM2B_PUBLIC,
  TPMA_NV,
  TPMA_OBJECT,
  TPMS_ATTEST,
  type TPMS_NV_PUBLIC,
  TPMT_SIGNATURE,
  TPMT_TK_CREATION,
  TPMT_TK_HASHCHECK,
} from './index.ts';

/** Reads `hex`, and holds that writing gives it back. */
function reread<T>(codec: Codec<T>, hex: string): T {
  const value = decode(codec, fromHex(hex));
  assert.equal(toHex(encode(codec, value)), hex);
  return value;
}

// tpm2_createak -G ecc -g sha256 -s ecdsa -u ak.pub -f tss -n ak.name
const AK =
  '00580023000b00050072000000100018000b00030010002078e0e7b8f9852ec93f9953de905c02290893fb4625e731d908f8f01164edf3a5' +
  '002051d6b6920f8e80123e40a719d8b5c897abccf3497e4e6425e03a3abe886195c9';
const AK_NAME = '000bf65197797c7a0cf8188379782ac3e3ff67dac440aed4702bc4e154eb599d9f00';
// tpm2_quote -c ak.ctx -l sha256:0,7,10+sha384:10 -q 00112233 -m q.msg -s q.sig
const QUOTE =
  'ff54434780180022000b19dabc04bdf5ea98ecc8bf7dfcab9aa83d40a2b20e664262b518cf81961ac40b00040011223300000000000004390' +
  '00000020000000000201910230016363600000002000b03810400000c03000400002030e42378b3028e2c06f401450f642f98e8ddd563ed09' +
  'f0b745624c977fd9da16';
const QUOTE_SIGNATURE =
  '0018000b002061440ab7f6e831defcb29368d45a2a9a26d20d6c8641f479cca274ac394a618200204dec084313c85ed4132e162cd7476f6b' +
  '4dab9802363d20a19c7f1f02f6f7d79b';

test('an ECC attestation key reads as what tpm2_createak was asked for', () => {
  const ak = reread(TPM2B_PUBLIC, AK);
  assert.equal(ak.type, 'ecc');
  if (ak.type !== 'ecc') return;
  assert.equal(ak.nameAlg, 'sha256');
  assert.deepEqual(ak.objectAttributes, {
    fixedTPM: true,
    fixedParent: true,
    sensitiveDataOrigin: true,
    userWithAuth: true,
    restricted: true,
    sign: true,
  });
  assert.deepEqual(ak.parameters, {
    symmetric: { algorithm: 'null' },
    scheme: { scheme: 'ecdsa', hashAlg: 'sha256' },
    curveID: 'p256',
    kdf: { scheme: 'null' },
  });
  assert.equal(ak.unique.x.length, 32);
});

test("an object's Name is the one that the TPM gives", () => {
  assert.equal(toHex(objectName(decode(TPM2B_PUBLIC, fromHex(AK)))), AK_NAME);
});

test("an RSA endorsement key of the EK profile's template", () => {
  // tpm2_createek -G rsa -u ek.pub -f tss
  const ek = reread(
    TPM2B_PUBLIC,
    '013a0001000b000300b20020837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa0006008000430010080000000000' +
      '0100bf3dc5742db8357576d567928d3a8391d1606c770ad580ccc12a2c30d52fb8aff0aa213d2a0caa136fc2905c79bff34f288c7ed07c52b3' +
      'd832ddc87cd82091196966fe174de24618f4effbd7585b752e78ed4b1e7e53fac557d8d5766b6777056096d72e2a9f34e29f0334240475ec65' +
      'd9872bc0dbf2bcc19948b0c3e88f97c565e6250312cb2bfaee1420ae4aac547864e83ce90198910e84b696bb768749c97fd1ac57dee2cf725d' +
      'e3e69760ff8b08293c92f7634c5d40833c494f76088f307a4086b0cdb7a3bb738440bc47d164aa877fbf4d7d8f52394070d08da98df5446f24' +
      'b4febd2f65b5b8da09bd04900ec6ac43ebb05607ef49a214387d0a218d49',
  );
  assert.equal(ek.type, 'rsa');
  if (ek.type !== 'rsa') return;
  assert.equal(TPMA_OBJECT.toNumber(ek.objectAttributes), 0x000300b2);
  assert.deepEqual(ek.parameters, {
    symmetric: { algorithm: 'aes', keyBits: 128, mode: 'cfb' },
    scheme: { scheme: 'null' },
    keyBits: 2048,
    exponent: 0,
  });
  assert.equal(ek.unique.length, 256);
});

test('a quote over two banks, and its signature holds over exactly those bytes', () => {
  const quote = reread(TPMS_ATTEST, QUOTE);
  assert.equal(quote.type, 'quote');
  if (quote.type !== 'quote') return;
  assert.deepEqual(quote.attested.pcrSelect, [
    { hash: 'sha256', pcrs: [0, 7, 10] },
    { hash: 'sha384', pcrs: [10] },
  ]);
  assert.equal(toHex(quote.extraData), '00112233');
  assert.deepEqual(quote.clockInfo, { clock: 0x439n, resetCount: 2, restartCount: 0, safe: false });

  const signature = reread(TPMT_SIGNATURE, QUOTE_SIGNATURE);
  const ak = decode(TPM2B_PUBLIC, fromHex(AK));
  assert.ok(signature.sigAlg === 'ecdsa' && ak.type === 'ecc');
  const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');
  const key = createPublicKey({
    key: { kty: 'EC', crv: 'P-256', x: base64url(ak.unique.x), y: base64url(ak.unique.y) },
    format: 'jwk',
  });
  const raw = Buffer.concat([signature.signatureR, signature.signatureS]);
  assert.ok(verify('sha256', fromHex(QUOTE), { key, dsaEncoding: 'ieee-p1363' }, raw));
});

test('creation data of a primary and of an ordinary key, and the tickets', () => {
  // tpm2_createprimary -C o --creation-data …; creationHash from -d
  const hex =
    '0037000000000020e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8550100100004400000010004400000010000';
  const primary = reread(TPM2B_CREATION_DATA, hex);
  assert.equal(primary.parentNameAlg, 'null');
  assert.deepEqual(primary.locality, { zero: true });
  assert.deepEqual(primary.pcrSelect, []);
  assert.equal(
    createHash('sha256')
      .update(fromHex(hex.slice(4)))
      .digest('hex'),
    '5da041bac0ee3135aebb0cadfba497c6a1877fae832dd3d1f8f7a871b825e854',
  );
  // tpm2_create --creation-data …
  const ordinary = reread(
    TPM2B_CREATION_DATA,
    '0073000000000020e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85501000b0022000ba7054b554cb170a25c9b1007' +
      'cbd02a915b5ea07dad45ff6bf6d3c04bc73affc60022000bd6ec4ceaa76cb5adeb6da02b400b9415afc98da66f0a419e1a43bd32662cd1f50000',
  );
  assert.equal(ordinary.parentNameAlg, 'sha256');
  const creation = reread(
    TPMT_TK_CREATION,
    '80214000000100403df60a36c1086aa9a9511996c59f98275261c8524f2f41d38a1bbaa292013d583f157e776fe975354deaa99497a0d07b30371d92f6be1cff7375874fa96f8c69',
  );
  assert.equal(creation.tag, 'creation');
  // tpm2_hash -C o -g sha256 -t hc.tk
  const hashcheck = reread(
    TPMT_TK_HASHCHECK,
    '80244000000100401d12cee2c8908afa4a5416fbf9654246ccdafc8e50932beff3f4070aac114b961ee5c574a72d8414ff608771b7f884fb138e917716f97c50e60d43070ce064a4',
  );
  assert.equal(hashcheck.tag, 'hashcheck');
});

test('a sealed object', () => {
  // tpm2_create -C p.ctx -i- -u seal.pub -f tss
  const sealed = reread(
    TPM2B_PUBLIC,
    '002e0008000b00000052000000100020e5f3ebb328d6b6c1d8edd7294b6f6a0a333e01fdd756c7ffadaa69466bb6d5d8',
  );
  assert.ok(sealed.type === 'keyedhash');
  assert.deepEqual(sealed.parameters, { scheme: { scheme: 'null' } });
});

test("an NV index's attributes and Name are those of tpm2_nvreadpublic", () => {
  // tpm2_nvdefine 0x1500016 -C o -s 32 -a "ownerread|ownerwrite|policywrite"
  const nvPublic: TPMS_NV_PUBLIC = {
    nvIndex: 0x01500016,
    nameAlg: 'sha256',
    attributes: { ownerread: true, ownerwrite: true, policywrite: true },
    authPolicy: new Uint8Array(),
    dataSize: 32,
  };
  assert.equal(TPMA_NV.toNumber(nvPublic.attributes), 0x2000a);
  const name = fromHex('000bf5f7be7411d44250c56d4550746b3d7d860cb5a963b43d1100aa447564b22f1b');
  assert.ok(bytesEqual(nvName(nvPublic), name));
});
