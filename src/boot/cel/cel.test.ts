import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { agileLog, corpusLogs, needsCorpus, sha1Log, specIdPayload } from '../../../test/fixtures/boot-logs.ts';
import { ParseError } from '../../bytes/index.ts';
import { BootError } from '../error.ts';
import { parseBootLog } from '../parse.ts';
import { encodeBootLog } from '../write.ts';
import { bootLogFromCel, celForm, celFromBootLog, celFromImaEntries, encodeCel, parseCel } from './index.ts';
import type { CelRecord } from './record.ts';

const FORMS = ['json', 'tlv'] as const;
const SHA256 = 0x000b;
const event = {
  pcr: 4,
  type: 0x80000007,
  digests: [[SHA256, Buffer.alloc(32, 0xab)]] as const,
  data: Buffer.from('Exit Boot Services Invocation'),
};
const LOG = agileLog(specIdPayload([[SHA256, 32]]), [event]);

/** CEL 1.0's TLV, written out by hand: number, PCR, digests, content. */
const RECORD_TLV = Buffer.from(
  '00 00000008 0000000000000001  01 00000001 04'.replaceAll(' ', '') +
    `03 00000025 0b 00000020 ${'ab'.repeat(32)}`.replaceAll(' ', '') +
    `05 00000010 00 00000004 80000007 01 00000002 4869`.replaceAll(' ', ''),
  'hex',
);

test('a record in TLV is number, PCR, digests and content, each with type and big-endian length', () => {
  const [record] = parseCel(RECORD_TLV, 'tlv');
  assert.ok(record !== undefined);
  assert.equal(record.recnum, 1);
  assert.deepEqual(record.index, { kind: 'pcr', value: 4 });
  assert.deepEqual(
    record.digests.map(({ algorithm }) => algorithm),
    ['sha256'],
  );
  assert.ok(record.content.kind === 'pcclient_std');
  assert.equal(record.content.eventType, 0x80000007);
  assert.equal(Buffer.from(record.content.eventData).toString(), 'Hi');
  assert.deepEqual(Buffer.from(encodeCel([record], 'tlv')), RECORD_TLV);
});

test('a record in JSON has the names of the specification; an event type may be a name, a number or its digits', () => {
  const record = { recnum: 7, pcr: 4, digests: [{ hashAlg: 'sha256', digest: 'ab'.repeat(32) }] };
  const content = { event_type: 'EV_EFI_ACTION', event_data: '4869' };
  const [named, numbered, decimal] = parseCel(
    Buffer.from(
      JSON.stringify([
        { ...record, content_type: 'pcclient_std', content },
        { ...record, content_type: 'pcclient_std', content: { ...content, event_type: 0x80000007 } },
        { ...record, content_type: 'pcclient_std', content: { ...content, event_type: '2147483655' } },
      ]),
    ),
    'json',
  );
  assert.deepEqual(named, numbered);
  assert.deepEqual(named, decimal);
  assert.equal(named?.recnum, 7);
  assert.ok(named?.content.kind === 'pcclient_std' && named.content.eventType === 0x80000007);
});

test("systemd's log is a canonical log without record numbers, and goes through both forms", () => {
  const line = { pcr: 11, digests: [{ hashAlg: 'sha256', digest: 'cd'.repeat(32) }], content_type: 'systemd' };
  const content = { string: 'enter-initrd', eventType: 'phase' };
  const text = Buffer.from([0, 1].map(() => `\u001e${JSON.stringify({ ...line, content })}\n`).join(''));
  assert.equal(celForm(text), 'json');
  const records = parseCel(text, 'json');
  assert.deepEqual(
    records.map(({ recnum }) => recnum),
    [0, 1],
  );
  assert.deepEqual(records[1]?.content, { kind: 'systemd', json: content });
  for (const form of FORMS) assert.deepEqual(plain(parseCel(encodeCel(records, form), form)), plain(records));
  assert.throws(() => bootLogFromCel(records), isBootError('boot.cel-content', /record 0: content of type systemd/));
});

test('entries of an IMA list go through both forms', () => {
  const digests = [{ tpmAlg: SHA256, algorithm: 'sha256', value: Buffer.alloc(32, 1) }] as const;
  const records = celFromImaEntries(
    [{ pcr: 10, digests, templateName: 'ima-ng', templateData: Buffer.from('data') }],
    40,
  );
  assert.equal(records[0]?.recnum, 40);
  for (const form of FORMS) assert.deepEqual(plain(parseCel(encodeCel(records, form), form)), plain(records));
});

test('a log of each format comes back byte for byte, less its padding', () => {
  const sha1 = sha1Log([
    { ...event, digests: [[4, Buffer.alloc(20, 3)]] },
    { ...event, pcr: 0xffffffff, digests: [] },
  ]);
  for (const bytes of [LOG, sha1, Buffer.concat([LOG, Buffer.alloc(4096, 0xff)])]) {
    const log = parseBootLog(bytes);
    for (const form of FORMS) {
      const cel = encodeCel(celFromBootLog(log), form);
      assert.equal(celForm(cel), form);
      const again = Buffer.from(encodeBootLog(bootLogFromCel(parseCel(cel, form))));
      assert.deepEqual(again, bytes.subarray(0, bytes.length - log.padding));
    }
  }
});

test('a digest algorithm that Assay does not know is carried in both forms', () => {
  const unknown = { ...event, digests: [[0x7a, Buffer.alloc(7, 9)]] as const };
  const bytes = agileLog(specIdPayload([[0x7a, 7]]), [unknown]);
  for (const form of FORMS) {
    const cel = encodeCel(celFromBootLog(parseBootLog(bytes)), form);
    assert.deepEqual(Buffer.from(encodeBootLog(bootLogFromCel(parseCel(cel, form)))), bytes);
  }
});

test('a TCG event log that begins with EV_S_CRTM_VERSION is not taken for TLV', () => {
  const log = sha1Log([{ pcr: 0, type: 8, digests: [[4, Buffer.alloc(20, 0x5a)]], data: Buffer.from('v1') }]);
  assert.equal(celForm(log), undefined);
  assert.equal(celForm(LOG), undefined);
  assert.equal(celForm(RECORD_TLV), 'tlv');
});

test('registers of confidential computing keep their own kind of index', () => {
  const records = celFromBootLog(parseBootLog(LOG), 'cc-register');
  for (const form of FORMS) {
    const again = parseCel(encodeCel(records, form), form);
    assert.deepEqual(again[1]?.index, { kind: 'cc-register', value: 4 });
    assert.deepEqual(Buffer.from(encodeBootLog(bootLogFromCel(again))), LOG);
  }
});

test('content that one form cannot say is refused with its record', () => {
  const base = { recnum: 3, index: { kind: 'pcr', value: 1 }, digests: [] } as const;
  const tlv: CelRecord = { ...base, content: { kind: 'tlv', type: 8, value: Buffer.from('x') } };
  const json: CelRecord = { ...base, content: { kind: 'json', contentType: 'mine', json: 1 } };
  assert.deepEqual(plain(parseCel(encodeCel([tlv], 'tlv'), 'tlv')), plain([tlv]));
  assert.deepEqual(plain(parseCel(encodeCel([json], 'json'), 'json')), plain([json]));
  assert.throws(() => encodeCel([tlv], 'json'), isBootError('boot.cel-content', /record 3/));
  assert.throws(() => encodeCel([json], 'tlv'), isBootError('boot.cel-content', /record 3/));
});

test('lengths beyond the input, wrong digest sizes and doubled banks are refused where they stand', () => {
  const long = Buffer.from(RECORD_TLV);
  long.writeUInt32BE(0xc0000000, 20); // of the digests
  assert.throws(() => parseCel(long, 'tlv'), isParseError('parse.truncated', 24));
  const size = Buffer.from(RECORD_TLV);
  size[24] = 4; // SHA-1, with 32 bytes
  assert.throws(() => parseCel(size, 'tlv'), isParseError('parse.invalid', 24));
  const line = (digests: unknown) => Buffer.from(JSON.stringify({ pcr: 1, digests, content_type: 'x' }));
  const one = { hashAlg: 'sha1', digest: '00'.repeat(20) };
  assert.throws(() => parseCel(line([one, one]), 'json'), /two digests of one bank/);
  assert.throws(() => parseCel(line([{ ...one, digest: '00' }]), 'json'), /a sha1 digest of 1 bytes/);
  assert.throws(() => parseCel(line([{ ...one, hashAlg: 'sha9' }]), 'json'), /is not known/);
});

test('any bytes give records or a typed error', () => {
  const isTyped = (run: () => unknown): void => {
    try {
      run();
    } catch (error) {
      if (!(error instanceof ParseError || error instanceof BootError)) throw error;
    }
  };
  const cut = fc.tuple(fc.nat(RECORD_TLV.length - 1), fc.nat(255)).map(([at, value]) => {
    const bytes = Buffer.from(RECORD_TLV);
    bytes[at] = value;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(cut, fc.uint8Array({ maxLength: 64 })), (bytes) => {
      for (const form of FORMS) isTyped(() => bootLogFromCel(parseCel(bytes, form)));
    }),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.json(), (text) => isTyped(() => parseCel(Buffer.from(text), 'json'))),
    { numRuns: 200 },
  );
});

test('every log of the corpus comes back byte for byte', needsCorpus, () => {
  for (const { name, bytes } of corpusLogs()) {
    const log = parseBootLog(bytes);
    for (const form of FORMS) {
      const cel = encodeCel(celFromBootLog(log), form);
      const again = Buffer.from(encodeBootLog(bootLogFromCel(parseCel(cel, form))));
      assert.ok(again.equals(bytes.subarray(0, bytes.length - log.padding)), `${name} through ${form}`);
    }
  }
});

/** Views and buffers of the same bytes compare equal. */
function plain(records: readonly CelRecord[]): unknown {
  const bytes = (_: string, value: unknown) => (value instanceof Uint8Array ? [...value] : value);
  return JSON.parse(JSON.stringify(records, (key, value) => (isBufferJson(value) ? value.data : bytes(key, value))));
}

function isBufferJson(value: unknown): value is { data: unknown } {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer' && 'data' in value;
}

function isBootError(code: string, message: RegExp) {
  return (error: unknown) => error instanceof BootError && error.code === code && message.test(error.message);
}

function isParseError(code: string, offset: number) {
  return (error: unknown) => error instanceof ParseError && error.code === code && error.offset === offset;
}
