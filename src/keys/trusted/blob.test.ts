import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeyError } from '../error.ts';
import { encodeTrustedBlob, parseTrustedBlob, parseTrustedKey } from './blob.ts';

/** A sealed object's public area as swtpm gives it for what the kernel asks; the private area is made up, and opens nowhere. */
const AREA = '002e0008000b00000052000000100020151ec07da794834544d2a254c01be9ec7f722c1400b3f5326b1b8c4d6a3dfa77';
const PRIVATE = `0010${'5a'.repeat(16)}`;
const asn1 = (body: string): Buffer =>
  Buffer.from(`30${(body.length / 2).toString(16).padStart(2, '0')}${body}`, 'hex');
const OID = '06066781050a0105';
const PARENT = '02050081000001';
const octets = (hex: string): string => `04${(hex.length / 2).toString(16).padStart(2, '0')}${hex}`;
const WHOLE = asn1(`${OID}a003010101${PARENT}${octets(AREA)}${octets(PRIVATE)}`);

const codeOf = (bytes: Uint8Array): string | undefined => {
  try {
    parseTrustedBlob(bytes);
    return undefined;
  } catch (error) {
    return error instanceof KeyError ? error.code : String(error);
  }
};

test('the kernel’s form is read and written as it writes it: its true is 01', () => {
  const blob = parseTrustedKey(`load ${WHOLE.toString('hex')}\n`);
  assert.deepEqual(
    [blob.form, blob.parent, blob.emptyAuth, blob.area.nameAlg, Buffer.from(blob.private).toString('hex')],
    ['asn1', 0x81000001, true, 'sha256', '5a'.repeat(16)],
  );
  assert.deepEqual(encodeTrustedBlob(blob), WHOLE);
});

test('without the remark that no authorization is needed it is another blob', () => {
  const blob = parseTrustedBlob(asn1(`${OID}${PARENT}${octets(AREA)}${octets(PRIVATE)}`));
  assert.equal(blob.emptyAuth, false);
  assert.equal(encodeTrustedBlob(blob).length, WHOLE.length - 5);
});

test('the older form is private area, then public area', () => {
  const legacy = Buffer.from(`${PRIVATE}${AREA}`, 'hex');
  const blob = parseTrustedBlob(legacy);
  assert.deepEqual([blob.form, blob.parent], ['legacy', undefined]);
  assert.deepEqual(encodeTrustedBlob(blob), legacy);
});

test('a blob cut anywhere, or with bytes after it, is refused', () => {
  for (let length = 0; length < WHOLE.length; length++) {
    assert.equal(codeOf(WHOLE.subarray(0, length)), 'key.malformed', `${length} bytes`);
  }
  assert.equal(codeOf(Buffer.concat([WHOLE, Buffer.of(0)])), 'key.malformed');
  assert.equal(codeOf(Buffer.alloc(513, 0x30)), 'key.malformed');
});

test('the remark that no authorization is needed may be DER’s true, and must be a BOOLEAN', () => {
  const remarked = (remark: string): Buffer => asn1(`${OID}${remark}${PARENT}${octets(AREA)}${octets(PRIVATE)}`);
  const der = parseTrustedBlob(remarked('a0030101ff'));
  assert.equal(der.emptyAuth, true);
  assert.deepEqual(encodeTrustedBlob(der), WHOLE);
  assert.equal(parseTrustedBlob(remarked('a003010100')).emptyAuth, false);
  for (const other of ['a003020101', 'a003010102', 'a0030101fe'])
    assert.equal(codeOf(remarked(other)), 'key.malformed');
});

test('any bytes are a blob that reads the same when it is written again, or no blob', () => {
  const mutated = fc.tuple(fc.nat(WHOLE.length - 1), fc.nat(255)).map(([at, byte]) => {
    const bytes = Buffer.from(WHOLE);
    bytes[at] = byte;
    return bytes;
  });
  const remark = WHOLE.indexOf(Buffer.from('a003010101', 'hex')) + 4;
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 200 })), (bytes) => {
      const code = codeOf(bytes);
      if (code !== undefined) {
        assert.equal(code, 'key.malformed');
        return;
      }
      const blob = parseTrustedBlob(bytes);
      const written = encodeTrustedBlob(blob);
      assert.deepEqual(parseTrustedBlob(written), blob);
      // Another octet for true, or a false that is written out, is the only thing that writing changes.
      if (Buffer.from(bytes).compare(WHOLE, remark, remark + 1, remark, remark + 1) === 0)
        assert.deepEqual(written, Buffer.from(bytes));
    }),
    {
      numRuns: 300,
      examples: [
        [Buffer.from(WHOLE).fill(2, remark - 2, remark - 1)],
        [Buffer.from(WHOLE).fill(0xff, remark, remark + 1)],
      ],
    },
  );
});
