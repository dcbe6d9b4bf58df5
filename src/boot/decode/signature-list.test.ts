import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { corpusLogs, needsCorpus } from '../../../test/fixtures/boot-logs.ts';
import { ByteReader, ByteWriter, ParseError } from '../../bytes/index.ts';
import { parseBootLog } from '../parse.ts';
import { decodeLog } from './decode-event.ts';
import { readGpt } from './gpt.ts';
import { readLoadOption } from './load-option.ts';
import { readAuthority, readSignatureLists } from './signature-list.ts';

const SHA256_TYPE = Buffer.from('2616c4c14c509240aca941f936934328', 'hex');
const OWNER = Buffer.from('bd9afa775903324dbd6028f4e78f784b', 'hex');

function list(type: Buffer, size: number, ...contents: readonly Buffer[]): Buffer {
  const total = 28 + contents.length * size;
  const writer = new ByteWriter().bytes(type).u32le(total).u32le(0).u32le(size);
  for (const content of contents) writer.bytes(OWNER).bytes(content);
  return Buffer.from(writer.finish());
}

const isParseError = (error: unknown): boolean => error instanceof ParseError;

test('hashes of a dbx are read with their owner, list after list', () => {
  const bytes = Buffer.concat([
    list(SHA256_TYPE, 48, Buffer.alloc(32, 1), Buffer.alloc(32, 2)),
    list(SHA256_TYPE, 48, Buffer.alloc(32, 3)),
  ]);
  const lists = readSignatureLists(new ByteReader(bytes));
  const owner = '77fa9abd-0359-4d32-bd60-28f4e78f784b';
  assert.deepEqual(
    lists.map(({ type, signatures }) => [type, signatures]),
    [
      ['sha256', [1, 2].map((fill) => ({ owner, content: { kind: 'hash', value: `0${fill}`.repeat(32) } }))],
      ['sha256', [{ owner, content: { kind: 'hash', value: '03'.repeat(32) } }]],
    ],
  );
});

test('sizes that contradict each other are refused, a size of zero does not loop', () => {
  const wrong = list(SHA256_TYPE, 48, Buffer.alloc(32));
  for (const [at, value] of [
    [16, 0],
    [16, 27],
    [16, 0xffffffff],
    [20, 0xffffffff],
    [24, 0],
    [24, 47],
  ] as const) {
    const bytes = Buffer.from(wrong);
    bytes.writeUInt32LE(value, at);
    assert.throws(() => readSignatureLists(new ByteReader(bytes)), isParseError, `${at} ${value}`);
  }
});

test('more signatures than any variable holds are refused', () => {
  const bytes = list(SHA256_TYPE, 17, ...Array.from({ length: 65_537 }, () => Buffer.alloc(1)));
  assert.throws(() => readSignatureLists(new ByteReader(bytes)), isParseError);
});

test('certificates of real logs are read, a bare one of shim’s too', needsCorpus, () => {
  const subjects = new Set<string>();
  for (const { bytes } of corpusLogs()) {
    for (const { payload } of decodeLog(parseBootLog(bytes))) {
      const value = payload.kind === 'variable' ? payload.value : undefined;
      if (value?.kind !== 'authority' || value.signature.content.kind !== 'x509') continue;
      const { owner, content } = value.signature;
      subjects.add(`${owner === undefined ? 'bare' : 'owned'} ${/CN=([^,]*)/.exec(content.subject)?.[1]}`);
      assert.match(content.sha256, /^[0-9a-f]{64}$/);
    }
  }
  assert.ok(subjects.has('owned Microsoft Corporation UEFI CA 2011'), [...subjects].join('; '));
});

test('any bytes give lists, an authority, a load option, a partition table, or a ParseError', () => {
  const parsers = [
    (bytes: Uint8Array) => readSignatureLists(new ByteReader(bytes)),
    (bytes: Uint8Array) => readAuthority(bytes, 0),
    (bytes: Uint8Array) => readLoadOption(new ByteReader(bytes)),
    (bytes: Uint8Array) => readGpt(new ByteReader(bytes)),
  ];
  const head = fc.constantFrom(Buffer.alloc(0), SHA256_TYPE, Buffer.from('EFI PART'), Buffer.from([0x30, 0x82]));
  fc.assert(
    fc.property(head, fc.uint8Array({ maxLength: 200 }), fc.nat(3), (start, tail, which) => {
      try {
        parsers[which]?.(Buffer.concat([start, tail]));
      } catch (error) {
        assert.ok(isParseError(error));
      }
    }),
    { numRuns: 300 },
  );
});
