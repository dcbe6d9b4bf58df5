import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { makePe } from '../../../test/fixtures/pe-image.ts';
import { ParseError } from '../../bytes/index.ts';
import { authenticodeDigest, findSection, imageSignatures, parsePe, sectionBytes } from './index.ts';

const TEXT = { name: '.text', content: Buffer.alloc(700, 0x90) };
const LINUX = { name: '.linux', content: Buffer.from('kernel') };
/** WIN_CERTIFICATE: length 16, revision 2.0, PKCS #7. */
const CERTIFICATES = Buffer.from('1000000000020200' + '3006020101020102', 'hex');

const sha256 = (...parts: Uint8Array[]): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};

test('sections come with their bytes, cut to the size that they have in memory', () => {
  const image = parsePe(makePe([TEXT, LINUX]));
  assert.deepEqual(
    image.sections.map(({ name }) => name),
    ['.text', '.linux'],
  );
  const linux = findSection(image, '.linux');
  assert.ok(linux);
  assert.equal(Buffer.from(sectionBytes(image, linux)).toString(), 'kernel');
  assert.equal(findSection(image, '.initrd'), undefined);
});

test('a section that is larger in memory ends in zeros', () => {
  const bytes = makePe([LINUX]);
  bytes.writeUInt32LE(0x210, 0x58 + 112 + 128 + 8);
  const image = parsePe(bytes);
  const [section] = image.sections;
  assert.ok(section);
  assert.equal(sectionBytes(image, section).length, 0x210);
  bytes.writeUInt32LE(0xf0000000, 0x58 + 112 + 128 + 8);
  const huge = parsePe(bytes);
  const [bss] = huge.sections;
  assert.ok(bss);
  assert.throws(() => sectionBytes(huge, bss), { code: 'parse.too-large' });
});

test('the digest leaves out checksum, the certificate table and its entry, and takes in what stands behind the sections', () => {
  const unsigned = makePe([TEXT, LINUX], { behind: 8 });
  const signed = makePe([TEXT, LINUX], { behind: 8, certificates: CERTIFICATES });
  const expected = sha256(
    unsigned.subarray(0, 0x58 + 64),
    unsigned.subarray(0x58 + 68, 0x58 + 112 + 32),
    unsigned.subarray(0x58 + 112 + 40),
  );
  assert.equal(authenticodeDigest(unsigned, 'sha256').toString('hex'), expected);
  signed.writeUInt32LE(0x87654321, 0x58 + 64);
  assert.equal(authenticodeDigest(signed, 'sha256').toString('hex'), expected);
  signed.writeUInt8(0x91, 0x400);
  assert.notEqual(authenticodeDigest(signed, 'sha256').toString('hex'), expected);
});

test('sections are hashed in the order of the file, whatever the order of their headers', () => {
  const bytes = makePe([TEXT, LINUX]);
  const expected = sha256(
    bytes.subarray(0, 0x58 + 64),
    bytes.subarray(0x58 + 68, 0x58 + 112 + 32),
    bytes.subarray(0x58 + 112 + 40),
  );
  assert.equal(authenticodeDigest(bytes, 'sha256').toString('hex'), expected);
  const table = 0x58 + 112 + 128;
  const [first, second] = [Buffer.from(bytes.subarray(table, table + 40)), bytes.subarray(table + 40, table + 80)];
  bytes.set(second, table);
  bytes.set(first, table + 40);
  const swapped = sha256(
    bytes.subarray(0, 0x58 + 64),
    bytes.subarray(0x58 + 68, 0x58 + 112 + 32),
    bytes.subarray(0x58 + 112 + 40),
  );
  assert.equal(authenticodeDigest(bytes, 'sha256').toString('hex'), swapped);
});

test('overlapping sections and two of one name are refused', () => {
  const bytes = makePe([TEXT, LINUX]);
  const second = 0x58 + 112 + 128 + 40;
  bytes.writeUInt32LE(0x400, second + 20);
  assert.throws(() => authenticodeDigest(bytes, 'sha256'), { code: 'parse.invalid', offset: 0x400 });
  const twice = parsePe(makePe([LINUX, LINUX]));
  assert.throws(() => findSection(twice, '.linux'), { code: 'parse.invalid' });
});

test('signatures are the PKCS #7 entries of the certificate table', () => {
  const signed = parsePe(
    makePe([TEXT], { certificates: Buffer.concat([CERTIFICATES, CERTIFICATES, Buffer.alloc(8)]) }),
  );
  assert.deepEqual(
    imageSignatures(signed).map((signature) => Buffer.from(signature).toString('hex')),
    ['3006020101020102', '3006020101020102'],
  );
  const truncated = Buffer.from(CERTIFICATES);
  truncated.writeUInt32LE(0xfffffff0, 0);
  const image = parsePe(makePe([TEXT], { certificates: truncated }));
  assert.throws(() => imageSignatures(image), { code: 'parse.truncated' });
});

test('what is no image is refused with the offset', () => {
  assert.throws(() => parsePe(Buffer.from('ELF')), { code: 'parse.invalid', offset: 0 });
  const bytes = makePe([TEXT]);
  bytes.writeUInt32LE(0xffffffff, 0x3c);
  assert.throws(() => parsePe(bytes), { code: 'parse.invalid', offset: 0x3c });
  const outside = makePe([TEXT]);
  outside.writeUInt32LE(0xfffffe00, 0x58 + 112 + 128 + 16);
  assert.throws(() => parsePe(outside), { code: 'parse.invalid' });
});

test('any change of an image gives a digest or an error with its place', () => {
  const original = makePe([TEXT, LINUX], { certificates: CERTIFICATES });
  fc.assert(
    fc.property(fc.nat(0x1f0), fc.nat(255), fc.nat(original.length), (at, value, length) => {
      const changed = Buffer.from(original.subarray(0, length));
      if (at < length) changed[at] = value;
      try {
        const image = parsePe(changed);
        authenticodeDigest(image, 'sha256');
        imageSignatures(image);
      } catch (error) {
        assert.ok(error instanceof ParseError);
      }
    }),
    { numRuns: 300 },
  );
});
