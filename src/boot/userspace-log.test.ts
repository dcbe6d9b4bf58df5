import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { digest, ParseError } from '../bytes/index.ts';
import { parseUserspaceLog, recordMatchesText, replayUserspaceLog } from './userspace-log.ts';

const hex = (text: string) => digest('sha256', Buffer.from(text)).toString('hex');

/** As systemd-pcrextend writes it (systemd: src/shared/tpm2-util.c:tpm2_userspace_log_event). */
function line(text: string, pcr = 11, algorithm = 'sha256', value = hex(text)): string {
  const content = { string: text, bootId: '0e12', timestamp: 1, eventType: 'phase' };
  return `\x1e${JSON.stringify({ pcr, digests: [{ hashAlg: algorithm, digest: value }], content_type: 'systemd', content })}\n`;
}

test('phases replay into PCR 11, with and without record separators, on top of what firmware left', () => {
  const text = `${line('enter-initrd')}${line('leave-initrd').slice(1)}`;
  const records = parseUserspaceLog(Buffer.from(text));
  assert.deepEqual(
    records.map(({ text: phase, eventType, offset }) => [phase, eventType, offset]),
    [
      ['enter-initrd', 'phase', 0],
      ['leave-initrd', 'phase', Buffer.byteLength(line('enter-initrd'))],
    ],
  );
  assert.ok(records.every((record) => recordMatchesText(record, 'sha256')));
  const start = digest('sha256', Buffer.from('uki'));
  const first = digest('sha256', start, Buffer.from(hex('enter-initrd'), 'hex'));
  const second = digest('sha256', first, Buffer.from(hex('leave-initrd'), 'hex'));
  assert.deepEqual(replayUserspaceLog(records, { sha256: { 11: start.toString('hex') } }), {
    sha256: { 11: second.toString('hex') },
  });
});

test('a text that its digest is not of is not vouched for', () => {
  const [record] = parseUserspaceLog(Buffer.from(line('volume-key', 15, 'sha256', hex('secret'))));
  assert.equal(record !== undefined && recordMatchesText(record, 'sha256'), false);
});

test('a digest of a bank that cannot be computed is left out, one of the wrong size is refused', () => {
  const [record] = parseUserspaceLog(Buffer.from(line('x', 11, 'whirlpool', 'ab')));
  assert.deepEqual(record?.digests, []);
  assert.throws(() => parseUserspaceLog(Buffer.from(line('x', 11, 'sha256', 'abcd'))), ParseError);
});

test('what is no record is refused at its line', () => {
  const good = line('enter-initrd');
  for (const bad of [
    '{"pcr":24,"digests":[]}\n',
    '[]\n',
    'null\n',
    '\n',
    '{"pcr":"11"}\n',
    '\xff\n',
    good.slice(0, -1),
  ]) {
    assert.throws(
      () => parseUserspaceLog(Buffer.from(`${good}${bad}`)),
      (error: unknown) => error instanceof ParseError && error.offset === Buffer.byteLength(good),
      JSON.stringify(bad),
    );
  }
});

test('any bytes give records or a typed error', () => {
  const total = (bytes: Uint8Array): void => {
    try {
      replayUserspaceLog(parseUserspaceLog(bytes));
    } catch (error) {
      assert.ok(error instanceof ParseError, String(error));
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), total), { numRuns: 200 });
  const json = fc.jsonValue().map((value) => Buffer.from(`${JSON.stringify(value)}\n`));
  fc.assert(fc.property(json, total), { numRuns: 300 });
});
