/** Files of tpm2-tools, written and read back; that the tools take ours is test/system/tpm2-tools.test.ts. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { digestInfo, ParseError } from '../../bytes/index.ts';
import type { SelectedPcrs } from '../attestation/index.ts';
import { encode } from '../codec.ts';
import { EK_PROFILES } from '../endorsement/index.ts';
import { TpmError } from '../errors.ts';
import { uniqueOf } from '../public-key.ts';
import { TPMT_PUBLIC } from '../structures.ts';
import { readCredentialFile, writeCredentialFile } from './credential-file.ts';
import { parsePcrSelection } from './pcr-selection-text.ts';
import { readPcrValues, writePcrValues } from './pcr-values.ts';
import { readPublicFile, writePublicFile } from './public-file.ts';

const HASHES = ['sha1', 'sha256', 'sha384', 'sha512'] as const;

const bank = (hash: (typeof HASHES)[number]) =>
  fc.uniqueArray(fc.integer({ min: 0, max: 23 }), { maxLength: 24 }).map(
    (indices): SelectedPcrs => ({
      hash,
      pcrs: indices
        .sort((a, b) => a - b)
        .map((index) => ({ index, value: Buffer.alloc(digestInfo(hash).size, index) })),
    }),
  );

/** Reads, or refuses in the way that is promised. */
function isTotal(read: (bytes: Uint8Array) => unknown, bytes: Uint8Array): void {
  try {
    read(bytes);
  } catch (error) {
    assert.ok(error instanceof ParseError || error instanceof TpmError, String(error));
  }
}

test('PCR values come back as they were written, banks in any order', () => {
  const banks = fc.shuffledSubarray([...HASHES]).chain((hashes) => fc.tuple(...hashes.map(bank)));
  fc.assert(
    fc.property(banks, (written) => {
      const bytes = writePcrValues(written);
      const plain = (all: readonly SelectedPcrs[]) =>
        all.map(({ hash, pcrs }) => ({ hash, pcrs: pcrs.map(({ index, value }) => [index, Buffer.from(value)]) }));
      assert.deepEqual(plain(readPcrValues(bytes)), plain(written));
    }),
    { numRuns: 100 },
  );
});

test('a PCR file with counts of 4 billion, missing or spare values, or another size is refused', () => {
  const good = writePcrValues([{ hash: 'sha256', pcrs: [{ index: 3, value: Buffer.alloc(32) }] }]);
  const lists = 4 + 16 * 8; // where the number of TPML_DIGEST stands
  const changed = (at: number, value: number, size: 1 | 2 | 4) => {
    const bytes = Buffer.from(good);
    bytes.writeUIntLE(value, at, size);
    return bytes;
  };
  const wrong = [
    changed(0, 0xffffffff, 4),
    changed(lists, 0xffffffff, 4),
    changed(lists + 4, 0xffffffff, 4),
    changed(lists + 4, 0, 4),
    changed(lists + 8, 0xffff, 2),
    changed(lists + 8, 31, 2),
    changed(4, 0x7777, 2),
    changed(6, 5, 1),
    changed(7, 0, 1),
    good.subarray(0, -1),
    Buffer.concat([good, Buffer.alloc(1)]),
  ];
  for (const [i, bytes] of wrong.entries()) assert.throws(() => readPcrValues(bytes), ParseError, `case ${i}`);
});

test('credentials come back as they were written; other magic and versions are refused', () => {
  const part = (maxLength: number) => fc.uint8Array({ minLength: 1, maxLength });
  fc.assert(
    fc.property(part(132), part(512), (credentialBlob, secret) => {
      const bytes = writeCredentialFile({ credentialBlob, secret });
      const read = readCredentialFile(bytes);
      assert.deepEqual(Buffer.from(read.credentialBlob), Buffer.from(credentialBlob));
      assert.deepEqual(Buffer.from(read.secret), Buffer.from(secret));
      for (const at of [0, 7]) {
        const damaged = bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
        assert.throws(() => readCredentialFile(damaged), ParseError);
      }
    }),
    { numRuns: 50 },
  );
});

test('a public key is read in each form that the tools write', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const described = uniqueOf(publicKey);
  assert.ok(described.type === 'ecc' && EK_PROFILES.p256.template.type === 'ecc');
  const area: TPMT_PUBLIC = { ...EK_PROFILES.p256.template, unique: described.unique };
  const forms: readonly (readonly [Uint8Array, boolean])[] = [
    [writePublicFile(area), true],
    [encode(TPMT_PUBLIC, area), true],
    [Buffer.from(publicKey.export({ type: 'spki', format: 'pem' })), false],
    [publicKey.export({ type: 'spki', format: 'der' }), false],
  ];
  for (const [bytes, hasArea] of forms) {
    const read = readPublicFile(bytes);
    assert.ok(read.key.equals(publicKey));
    assert.equal(read.area !== undefined, hasArea);
  }
});

test('a public area whose point is on no curve is bad input, exit code 2', () => {
  const { template } = EK_PROFILES.p256;
  assert.ok(template.type === 'ecc');
  const unique = { x: Buffer.alloc(32, 1), y: Buffer.alloc(32, 1) };
  assert.throws(
    () => readPublicFile(writePublicFile({ ...template, unique })),
    (error) => error instanceof TpmError && error.code === 'tpm.malformed' && error.exitCode === 2,
  );
});

test('any bytes give a value or a typed error', () => {
  const pcrs = writePcrValues([{ hash: 'sha384', pcrs: [{ index: 0, value: Buffer.alloc(48) }] }]);
  const credential = writeCredentialFile({ credentialBlob: Buffer.alloc(60), secret: Buffer.alloc(66) });
  const area = writePublicFile(EK_PROFILES.rsa2048.template);
  for (const [read, good] of [
    [readPcrValues, pcrs],
    [readCredentialFile, credential],
    [readPublicFile, area],
  ] as const) {
    const change = fc.record({ at: fc.nat(good.length - 1), to: fc.nat(255), length: fc.nat(good.length) });
    fc.assert(
      fc.property(change, fc.uint8Array({ maxLength: 300 }), ({ at, to, length }, noise) => {
        isTotal(read, noise);
        isTotal(read, good.subarray(0, length));
        isTotal(
          read,
          good.map((byte, i) => (i === at ? to : byte)),
        );
      }),
      { numRuns: 150 },
    );
  }
});

test('PCR selections are those of tpm2-tools', () => {
  assert.deepEqual(parsePcrSelection('sha256:10,0,7,0+sha1:23'), [
    { hash: 'sha256', pcrs: [0, 7, 10] },
    { hash: 'sha1', pcrs: [23] },
  ]);
  assert.equal(parsePcrSelection('sha384:all')[0]?.pcrs.length, 24);
  for (const text of [
    '',
    'sha256',
    'sha256:',
    'sha256:24',
    'sha256:-1',
    'sha256:1,',
    'md5:1',
    'sha256:1+sha256:2',
    'sha256:0x1',
  ]) {
    assert.throws(
      () => parsePcrSelection(text),
      (error) => error instanceof TpmError && error.code === 'tpm.argument',
      text,
    );
  }
});
