import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, ParseError } from '../bytes/index.ts';
import { Keyring, splitModsig, verifyModsig } from './index.ts';

const MARKER = Buffer.from('~Module signature appended~\n');
const trailer = (hex: string) => Buffer.concat([fromHex(hex), MARKER]);

test('a file is split at what was appended; one without the marker holds none', () => {
  const file = Buffer.concat([Buffer.from('content'), Buffer.from('PKCS7'), trailer('000002000000000000000005')]);
  const split = splitModsig(file);
  assert.equal(Buffer.from(split?.content ?? []).toString(), 'content');
  assert.equal(Buffer.from(split?.pkcs7 ?? []).toString(), 'PKCS7');
  assert.equal(splitModsig(Buffer.from('content')), undefined);
  assert.equal(splitModsig(file.subarray(0, -1)), undefined);
});

test('a trailer that cannot be right is refused, with its place', () => {
  const refused = [
    ['longer than the file', Buffer.concat([Buffer.from('x'), trailer('000002000000000000000002')])],
    ['an empty signature', trailer('000002000000000000000000')],
    ['another kind', Buffer.concat([Buffer.from('xx'), trailer('000001000000000000000001')])],
    ['a length of a signer', Buffer.concat([Buffer.from('xx'), trailer('000002010000000000000001')])],
    ['no trailer', MARKER],
  ] as const;
  for (const [what, bytes] of refused) assert.throws(() => splitModsig(bytes), ParseError, what);
});

test('any bytes are a PKCS#7 that no empty keyring vouches for, or a ParseError', () => {
  const start = fromHex('300b06092a864886f70d010702a0');
  fc.assert(
    fc.property(fc.boolean(), fc.uint8Array({ maxLength: 60 }), (isPrefixed, rest) => {
      try {
        const bytes = isPrefixed ? Buffer.concat([start, rest]) : rest;
        assert.equal(verifyModsig(new Keyring(), bytes, () => Buffer.alloc(32)).valid, false);
      } catch (error) {
        assert.ok(error instanceof ParseError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});
