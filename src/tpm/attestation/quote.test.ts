/** Quotes are signed here with node:crypto as a TPM does; that real TPMs' quotes verify is test/system/tpm2-tools.test.ts. */
import assert from 'node:assert/strict';
import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { digest, digestInfo } from '../../bytes/index.ts';
import { encode } from '../codec.ts';
import { type TPMI_ALG_HASH, type TPML_PCR_SELECTION, TPMS_ATTEST, TPMT_SIGNATURE } from '../structures.ts';
import { checkQuote, type QuoteCheck, type QuoteFailureCode, type SelectedPcrs } from './quote.ts';

const EC = { p256: 'prime256v1', p384: 'secp384r1', p521: 'secp521r1' } as const;
const keys = {
  p256: generateKeyPairSync('ec', { namedCurve: EC.p256 }),
  p384: generateKeyPairSync('ec', { namedCurve: EC.p384 }),
  p521: generateKeyPairSync('ec', { namedCurve: EC.p521 }),
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
};
type KeyName = keyof typeof keys;
type Scheme = 'ecdsa' | 'rsassa' | 'rsapss';

const NONCE = Buffer.from('c0ffee', 'hex');
const NAME = Buffer.from(`000b${'22'.repeat(32)}`, 'hex');

type Bank = SelectedPcrs & { readonly hash: TPMI_ALG_HASH };

function bankOf(hash: TPMI_ALG_HASH, indices: readonly number[]): Bank {
  const { size } = digestInfo(hash);
  return { hash, pcrs: indices.map((index) => ({ index, value: Buffer.alloc(size, index + 1) })) };
}

function signatureOf(key: KeyObject, scheme: Scheme, hash: TPMI_ALG_HASH, message: Uint8Array): Uint8Array {
  const { opensslName } = digestInfo(hash);
  if (scheme === 'ecdsa') {
    const raw = sign(opensslName, message, { key, dsaEncoding: 'ieee-p1363' });
    const half = raw.length / 2;
    const [signatureR, signatureS] = [raw.subarray(0, half), raw.subarray(half)];
    return encode(TPMT_SIGNATURE, { sigAlg: 'ecdsa', hash, signatureR, signatureS });
  }
  const padding = scheme === 'rsassa' ? constants.RSA_PKCS1_PADDING : constants.RSA_PKCS1_PSS_PADDING;
  return encode(TPMT_SIGNATURE, { sigAlg: scheme, hash, sig: sign(opensslName, message, { key, padding }) });
}

interface Quoted {
  readonly key?: KeyName;
  readonly scheme?: Scheme;
  readonly hash?: TPMI_ALG_HASH;
  readonly banks?: readonly Bank[];
}

function quoteOf({ key = 'p256', scheme = 'ecdsa', hash = 'sha256', banks }: Quoted = {}): QuoteCheck {
  const pcrs = banks ?? [bankOf('sha256', [0, 1, 7, 10])];
  const pcrSelect: TPML_PCR_SELECTION = pcrs.map((bank) => ({
    hash: bank.hash,
    pcrs: bank.pcrs.map(({ index }) => index),
  }));
  const pcrDigest = digest(hash, ...pcrs.flatMap((bank) => bank.pcrs.map(({ value }) => value)));
  const message = encode(TPMS_ATTEST, {
    type: 'quote',
    qualifiedSigner: NAME,
    extraData: NONCE,
    clockInfo: { clock: 5n, resetCount: 1, restartCount: 0, safe: true },
    firmwareVersion: 7n,
    attested: { pcrSelect, pcrDigest },
  });
  const signature = signatureOf(keys[key].privateKey, scheme, hash, message);
  return { message, signature, pcrs, key: keys[key].publicKey, qualification: NONCE };
}

const codesOf = (input: QuoteCheck): QuoteFailureCode[] => checkQuote(input).failures.map(({ code }) => code);

for (const [key, scheme] of [
  ['p256', 'ecdsa'],
  ['p384', 'ecdsa'],
  ['p521', 'ecdsa'],
  ['rsa', 'rsassa'],
  ['rsa', 'rsapss'],
] as const) {
  for (const hash of ['sha256', 'sha384', 'sha512'] as const) {
    test(`${scheme} by ${key} with ${hash} verifies, over two banks`, () => {
      const banks = [bankOf('sha256', [0, 10]), bankOf('sha384', [2])];
      const result = checkQuote(quoteOf({ key, scheme, hash, banks }));
      assert.deepEqual(result.failures, []);
      assert.equal(result.attestation?.clockInfo.clock, 5n);
    });
  }
}

test('each thing that is wrong has its own code', () => {
  const good = quoteOf();
  const pcrs = [bankOf('sha256', [0, 1, 7, 10])];
  const altered = (change: Partial<QuoteCheck>) => codesOf({ ...good, ...change });
  assert.deepEqual(altered({}), []);
  assert.deepEqual(altered({ qualification: Buffer.from('c0ffed', 'hex') }), ['quote.nonce']);
  assert.deepEqual(altered({ qualification: new Uint8Array(0) }), ['quote.nonce']);
  assert.deepEqual(altered({ key: keys.p384.publicKey }), ['quote.signature']);
  assert.deepEqual(altered({ key: keys.rsa.publicKey }), ['quote.signature']);
  assert.deepEqual(altered({ key: generateKeyPairSync('ec', { namedCurve: EC.p256 }).publicKey }), ['quote.signature']);
  assert.deepEqual(altered({ key: undefined }), []);
  assert.deepEqual(altered({ selection: [{ hash: 'sha256', pcrs: [0, 1, 7] }] }), ['quote.selection']);
  assert.deepEqual(altered({ selection: [{ hash: 'sha256', pcrs: [0, 1, 2, 7, 10] }] }), ['quote.selection']);
  assert.deepEqual(altered({ selection: [{ hash: 'sha384', pcrs: [0, 1, 7, 10] }] }), ['quote.bank']);
  assert.deepEqual(altered({ pcrs: [bankOf('sha384', [0, 1, 7, 10])] }), ['quote.bank', 'quote.pcr-digest']);
  assert.deepEqual(altered({ pcrs: [] }), ['quote.bank', 'quote.pcr-digest']);
  assert.deepEqual(altered({ message: good.message.subarray(1) }), ['quote.magic', 'quote.signature']);
  assert.deepEqual(altered({ message: good.message.subarray(0, 40) }), ['quote.malformed', 'quote.signature']);
  assert.deepEqual(altered({ message: new Uint8Array(0) }), ['quote.malformed', 'quote.signature']);
  assert.deepEqual(altered({ message: Buffer.concat([good.message, NONCE]) }), ['quote.malformed', 'quote.signature']);
  assert.deepEqual(altered({ signature: good.signature.subarray(0, 9) }), ['quote.malformed']);
  assert.deepEqual(altered({ pcrs, selection: [{ hash: 'sha256', pcrs: [0, 1, 7, 10] }] }), []);
});

test('an attestation of another kind is none of PCRs, however well it is signed', () => {
  const message = encode(TPMS_ATTEST, {
    type: 'certify',
    qualifiedSigner: NAME,
    extraData: NONCE,
    clockInfo: { clock: 5n, resetCount: 1, restartCount: 0, safe: true },
    firmwareVersion: 7n,
    attested: { name: NAME, qualifiedName: NAME },
  });
  const signature = signatureOf(keys.p256.privateKey, 'ecdsa', 'sha256', message);
  const result = checkQuote({ ...quoteOf(), message, signature });
  assert.deepEqual(
    result.failures.map(({ code }) => code),
    ['quote.type'],
  );
  assert.equal(result.attestation, undefined);
});

test('SHA-1, in the signature or in the bank, only when asked', () => {
  const signed = quoteOf({ key: 'rsa', scheme: 'rsassa', hash: 'sha1' });
  const banked = quoteOf({ banks: [bankOf('sha1', [0])] });
  for (const input of [signed, banked]) {
    assert.deepEqual(codesOf(input), ['quote.algorithm']);
    assert.deepEqual(codesOf({ ...input, acceptSha1: true }), []);
  }
});

test('an HMAC and other schemes that nobody outside can check are no signature', () => {
  const hmac = { hashAlg: 'sha256', digest: Buffer.alloc(32) } as const;
  for (const signature of [
    encode(TPMT_SIGNATURE, { sigAlg: 'hmac', hmac }),
    encode(TPMT_SIGNATURE, { sigAlg: 'null' }),
  ]) {
    assert.ok(codesOf({ ...quoteOf(), signature }).includes('quote.algorithm'));
  }
});

test('the bytes of one PCR cannot be passed off as its neighbour’s', () => {
  const good = quoteOf({ banks: [bankOf('sha256', [0, 1])] });
  const joined = Buffer.alloc(64, Buffer.concat([Buffer.alloc(32, 1), Buffer.alloc(32, 2)]));
  const forged = (first: Uint8Array, second: Uint8Array) => [
    {
      hash: 'sha256',
      pcrs: [
        { index: 0, value: first },
        { index: 1, value: second },
      ],
    } as const,
  ];
  assert.deepEqual(codesOf({ ...good, pcrs: forged(joined.subarray(0, 32), joined.subarray(32)) }), []);
  assert.deepEqual(codesOf({ ...good, pcrs: forged(joined, new Uint8Array(0)) }), ['quote.pcr-digest']);
  assert.deepEqual(codesOf({ ...good, pcrs: forged(joined.subarray(0, 31), joined.subarray(31)) }), [
    'quote.pcr-digest',
  ]);
});

test('values beside the quoted ones, and second values, are refused', () => {
  const good = quoteOf({ banks: [bankOf('sha256', [0, 1])] });
  const selection = [{ hash: 'sha256', pcrs: [0, 1] } as const];
  const beside = [bankOf('sha256', [0, 1, 2])];
  assert.deepEqual(codesOf({ ...good, pcrs: beside, selection }), ['quote.selection']);
  const twice = [bankOf('sha256', [0, 1]), bankOf('sha256', [0])];
  assert.deepEqual(codesOf({ ...good, pcrs: twice, selection }), ['quote.selection']);
});

test('a flipped bit anywhere in message, signature or PCR values never verifies', () => {
  for (const good of [quoteOf(), quoteOf({ key: 'rsa', scheme: 'rsapss' })]) {
    const flip = (bytes: Uint8Array, bit: number) =>
      bytes.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
    const bitOf = (bytes: Uint8Array) => fc.integer({ min: 0, max: bytes.length * 8 - 1 });
    const values = Buffer.concat(good.pcrs.flatMap(({ pcrs }) => pcrs.map(({ value }) => value)));
    const valuesAgain = (bytes: Uint8Array): SelectedPcrs[] => [
      { hash: 'sha256', pcrs: [0, 1, 7, 10].map((index, i) => ({ index, value: bytes.slice(i * 32, i * 32 + 32) })) },
    ];
    fc.assert(
      fc.property(bitOf(good.message), bitOf(good.signature), bitOf(values), (m, s, v) => {
        assert.ok(codesOf({ ...good, message: flip(good.message, m) }).length > 0);
        assert.ok(codesOf({ ...good, signature: flip(good.signature, s) }).length > 0);
        assert.deepEqual(codesOf({ ...good, pcrs: valuesAgain(flip(values, v)) }), ['quote.pcr-digest']);
      }),
      { numRuns: 200 },
    );
  }
});

test('any bytes at all are answered, never thrown at', () => {
  const good = quoteOf();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 }), (message, signature) => {
      assert.ok(codesOf({ ...good, message, signature }).length > 0);
    }),
    { numRuns: 200 },
  );
});
