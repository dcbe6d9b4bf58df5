import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeSamples, encodeViolation, UNKNOWN_TEMPLATE } from '../../test/fixtures/ima-lists.ts';
import { AssayError, digest, ParseError, toHex } from '../bytes/index.ts';
import type { MeasurementEntry } from './entry.ts';
import { ImaError } from './error.ts';
import { decodePath, encodePath } from './path.ts';
import { ListReader, parseMeasurementList, StreamedReplay } from './reader.ts';
import { encodeEntry, encodeImaNgEntry } from './write.ts';

const samples = encodeSamples();
const list = Buffer.concat(samples.map(({ bytes }) => bytes));

/** ima_fs.c:ima_ascii_measurements_show, for the entries of the samples. */
function asciiLine(entry: MeasurementEntry): string {
  const { fields = {}, template } = entry;
  const hex = (bytes: Uint8Array | undefined) => toHex(bytes ?? Buffer.alloc(0));
  const named = (found: typeof fields.digest, kind = '') => `${kind}${found?.algorithm}:${hex(found?.value)}`;
  const kind = template.includes('v2') ? `${fields.digest?.kind}:` : '';
  const first = template === 'ima' ? hex(fields.digest?.value) : named(fields.digest, kind);
  const rest: Record<string, string[]> = {
    'ima-sig': [hex(fields.signature)],
    'ima-sigv2': [hex(fields.signature)],
    'ima-buf': [hex(fields.buffer)],
    'ima-modsig': [hex(fields.signature), named(fields.modsigDigest), hex(fields.modsig)],
    'evm-sig': [
      hex(fields.evmSignature),
      fields.xattrNames?.join('|') ?? '',
      '0300000001000000',
      hex(fields.xattrValues),
      String(fields.iuid),
      String(fields.igid),
      String(fields.imode),
    ],
    'd-ng|n-ng|iuid': [String(fields.iuid)],
  };
  const shown = [toHex(entry.templateDigest), template, first, fields.path ?? '', ...(rest[template] ?? [])];
  return `${String(entry.pcr).padStart(2)} ${shown.join(' ')}\n`;
}

const ascii = Buffer.from(parseMeasurementList(list).map(asciiLine).join(''));

function throwsParse(bytes: Uint8Array, code: ParseError['code'], offset?: number): void {
  assert.throws(
    () => parseMeasurementList(bytes),
    (error: unknown) => {
      assert.ok(error instanceof ParseError, String(error));
      assert.equal(error.code, code, error.message);
      if (offset !== undefined) assert.equal(error.offset, offset, error.message);
      return true;
    },
  );
}

function throwsIma(bytes: Uint8Array, code: ImaError['code']): void {
  assert.throws(
    () => parseMeasurementList(bytes),
    (error: unknown) => error instanceof ImaError && error.code === code,
  );
}

test('every template decodes into its fields', () => {
  const entries = parseMeasurementList(list);
  assert.deepEqual(
    entries.map(({ template, fields }) => [template, fields?.path, fields?.digest?.kind, fields?.digest?.algorithm]),
    [
      ['ima-ng', 'boot_aggregate', 'ima', 'sha256'],
      ['ima', '/sbin/init', 'ima', 'sha1'],
      ['ima-sig', '/usr/bin/bash', 'ima', 'sha256'],
      ['ima-sig', '/usr/bin/cat', 'ima', 'sha256'],
      ['ima-ngv2', '/v', 'verity', 'sha256'],
      ['ima-sigv2', '/w', 'ima', 'sha256'],
      ['ima-buf', 'kexec-cmdline', 'ima', 'sha256'],
      ['ima-modsig', '/m.ko', 'ima', 'sha256'],
      ['evm-sig', '/e', 'ima', 'sha256'],
      ['d-ng|n-ng|iuid', '/custom', 'ima', 'sha256'],
    ],
  );
  const at = (index: number) => entries[index]?.fields;
  assert.equal(toHex(at(2)?.signature ?? Buffer.alloc(0)), '030204aabbccdd');
  assert.equal(at(3)?.signature?.length, 0);
  assert.equal(Buffer.from(at(6)?.buffer ?? []).toString(), 'quiet');
  assert.deepEqual(Buffer.from(at(7)?.modsigDigest?.value ?? []), digest('sha256', Buffer.from('bare')));
  const { xattrNames, xattrLengths, iuid, igid, imode } = at(8) ?? {};
  assert.deepEqual(xattrNames, ['security.ima', 'security.capability']);
  assert.deepEqual([xattrLengths, iuid, igid, imode], [[3, 1], 1000, 70_000, 0o100755]);
});

test('an unknown template is carried raw', () => {
  const [template, fields] = UNKNOWN_TEMPLATE;
  const { bytes, templateData } = encodeEntry({ pcr: 10, template, fields });
  const [entry] = parseMeasurementList(bytes);
  assert.equal(entry?.fields, undefined);
  assert.deepEqual(Buffer.from(entry?.templateData ?? []), templateData);
});

test('an ASCII list gives the entries of the binary one', () => {
  const plain = (entry: MeasurementEntry) => ({ ...entry, offset: 0 });
  assert.deepEqual(parseMeasurementList(ascii).map(plain), parseMeasurementList(list).map(plain));
  const [violation] = parseMeasurementList(Buffer.from(`10 ${'0'.repeat(40)} ima-ng ${'0'.repeat(64)} /var/log\n`));
  assert.equal(violation?.violation, true);
  assert.equal(violation?.fields?.digest?.algorithm, '');
});

test('both forms replay to the same values', () => {
  const [binary, text] = [list, ascii].map((bytes) => {
    const stream = new StreamedReplay({ banks: ['sha1', 'sha384'] });
    stream.push(bytes);
    stream.end();
    return { pcrs: stream.replay.pcrs(), bad: stream.replay.badCount };
  });
  assert.deepEqual(text, binary);
  assert.equal(text?.bad, 0);
});

test('entries split over chunks come out whole, and a reader resumes at an entry boundary', () => {
  for (const bytes of [list, ascii]) {
    const reader = new ListReader();
    const entries = Array.from(bytes).flatMap((byte) => reader.push(Buffer.of(byte)));
    entries.push(...reader.end());
    assert.deepEqual(entries, parseMeasurementList(bytes));
    assert.equal(reader.bytes, bytes.length);
    const begun = new ListReader();
    const before = begun.push(bytes.subarray(0, 600));
    assert.ok(begun.form !== undefined && before.length > 0 && before.length < samples.length);
    const resumed = new ListReader({ entries: begun.entries, bytes: begun.bytes, form: begun.form });
    assert.deepEqual([...before, ...resumed.push(bytes.subarray(begun.bytes)), ...resumed.end()], entries);
  }
});

test('a list cut at any byte is whole up to an entry boundary or refused', () => {
  const boundaries = new Set(
    samples.map((_, i) => Buffer.concat(samples.slice(0, i).map(({ bytes }) => bytes)).length),
  );
  for (let length = 0; length < list.length; length++) {
    const cut = list.subarray(0, length);
    if (boundaries.has(length)) parseMeasurementList(cut);
    else assert.throws(() => parseMeasurementList(cut), AssayError, `cut at ${length}`);
  }
});

test('lengths of 4 GB are refused where they stand', () => {
  const nameLengthAt = 24;
  const dataLengthAt = 34;
  const fieldLengthAt = 38;
  for (const [at, code] of [
    [dataLengthAt, 'parse.too-large'],
    [fieldLengthAt, 'parse.invalid'],
  ] as const) {
    const bytes = Buffer.from(list);
    bytes.writeUInt32LE(0xffffffff, at);
    throwsParse(bytes, code, at);
  }
  const second = samples[0]?.bytes.length ?? 0;
  const bytes = Buffer.from(list);
  bytes.writeUInt32LE(0xffffffff, second + nameLengthAt);
  throwsParse(bytes, 'parse.too-large', second + nameLengthAt);
  bytes.writeUInt32LE(0xffffffff, second);
  throwsParse(bytes, 'parse.invalid', second);
});

test('garbage after the list is refused at its first byte', () => {
  throwsParse(Buffer.concat([list, Buffer.from('garbage')]), 'parse.invalid', list.length);
  throwsParse(Buffer.concat([list, Buffer.alloc(100)]), 'parse.too-large');
  throwsParse(Buffer.concat([list, Buffer.alloc(3)]), 'parse.truncated', list.length);
  throwsParse(Buffer.concat([ascii, Buffer.from('garbage\n')]), 'parse.invalid', ascii.length);
});

test('fields that do not fill the template data are refused', () => {
  const { bytes } = encodeImaNgEntry(10, 'sha256', Buffer.alloc(32, 1), '/x');
  bytes.writeUInt32LE(bytes.readUInt32LE(38) - 1, 38);
  assert.throws(() => parseMeasurementList(bytes), ParseError);
});

test('a big-endian list is told as such, and what is no list is refused', () => {
  const swapped = Buffer.from(samples[0]?.bytes ?? []);
  swapped.writeUInt32BE(10, 0);
  swapped.writeUInt32BE(6, 24);
  throwsIma(swapped, 'ima.big-endian');
  throwsIma(Buffer.from('{"pcrs":{}}'), 'ima.not-a-list');
  throwsIma(Buffer.alloc(1000), 'ima.not-a-list');
  assert.deepEqual(parseMeasurementList(Buffer.alloc(0)), []);
});

test('more different templates than any kernel has are refused', () => {
  const many = Array.from({ length: 70 }, (_, i) => encodeEntry({ pcr: 10, template: `t${i}`, fields: [] }).bytes);
  throwsParse(Buffer.concat([list, ...many]), 'parse.too-large');
});

test('a newline in a name stays in the name of the binary list, and breaks the digest of the ASCII one', () => {
  const forged = `/tmp/x\n10 ${'ab'.repeat(20)} ima-ng sha256:${'cd'.repeat(32)} /usr/bin/evil`;
  const { bytes } = encodeImaNgEntry(10, 'sha256', Buffer.alloc(32, 1), forged.replaceAll(' ', '\t'));
  const [entry, ...others] = parseMeasurementList(bytes);
  assert.equal(entry?.fields?.path, forged.replaceAll(' ', '\t'));
  assert.equal(others.length, 0);
  const stored = toHex(encodeImaNgEntry(10, 'sha256', Buffer.alloc(32, 1), forged).bytes.subarray(4, 24));
  const stream = new StreamedReplay({ banks: ['sha256'] });
  stream.push(Buffer.from(`10 ${stored} ima-ng sha256:${'01'.repeat(32)} ${forged}\n`));
  stream.end();
  assert.deepEqual(stream.replay.badTemplateDigests, [0, 1]);
});

test('a name that is not UTF-8 keeps its bytes', () => {
  for (const hex of ['2f66ff6f', 'c328', 'e282', 'f0288cbc', '80c3a9ff', 'edb080', 'f09f9880ff']) {
    const bytes = Buffer.from(hex, 'hex');
    assert.deepEqual(encodePath(decodePath(bytes)), bytes, hex);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      assert.deepEqual(encodePath(decodePath(bytes)), Buffer.from(bytes));
    }),
    { numRuns: 300 },
  );
});

test('a name longer than a path can be is refused where its length stands, in every template', () => {
  const digestOf = Buffer.concat([Buffer.from('sha256:\0'), Buffer.alloc(32, 1)]);
  const long = Buffer.alloc(8192, 0x80);
  for (const [template, fields, at] of [
    ['ima-ng', [digestOf, long], 38 + 4 + 40],
    ['n-ng|d-ng', [long, digestOf], 41],
    ['n', [long], 33],
  ] as const) {
    throwsParse(encodeEntry({ pcr: 10, template, fields }).bytes, 'parse.too-large', at);
  }
  const line = `10 ${'ab'.repeat(20)} ima-ng sha256:${'cd'.repeat(32)} /${'x'.repeat(8192)}\n`;
  throwsParse(Buffer.from(line), 'parse.too-large');
});

test('a digest that no algorithm gives is refused, and what was measured itself keeps its bound', () => {
  const digestOf = (size: number) => Buffer.concat([Buffer.from('sha256:\0'), Buffer.alloc(size, 1)]);
  const name = Buffer.from('kexec-cmdline\0');
  const big = Buffer.alloc(1 << 20, 0x80);
  throwsParse(encodeEntry({ pcr: 10, template: 'ima-ng', fields: [digestOf(4096), name] }).bytes, 'parse.too-large');
  const buffer = encodeEntry({ pcr: 10, template: 'ima-buf', fields: [digestOf(32), name, big] });
  assert.equal(parseMeasurementList(buffer.bytes)[0]?.fields?.buffer?.length, big.length);
});

test('a large text that is not UTF-8 is decoded in one go', () => {
  const stray = Buffer.alloc(16 << 20, 0x80);
  const text = decodePath(stray);
  assert.equal(text.length, stray.length);
  assert.equal(text.charCodeAt(text.length - 1), 0xdc80);
});

test('what cannot be an entry is not written', () => {
  const digest32 = Buffer.alloc(32, 1);
  const refused = [
    () => encodeImaNgEntry(24, 'sha256', digest32, '/x'),
    () => encodeImaNgEntry(10, 'sha1', digest32, '/x'),
    () => encodeImaNgEntry(10, 'sha256', digest32, '/x\0y'),
    () => encodeImaNgEntry(10, 'sha256', digest32, 'x'.repeat(4096)),
    () => encodeEntry({ pcr: 10, template: 'ima-ng', fields: [] }),
    () => encodeEntry({ pcr: 10, template: 'a b', fields: [] }),
    () => encodeEntry({ pcr: 10, template: 'ima', fields: [digest32, Buffer.from('x')] }),
  ];
  for (const write of refused) assert.throws(write, ImaError);
});

/** Total: entries, or a typed error. */
function readEverything(bytes: Uint8Array): void {
  for (const read of [
    () => parseMeasurementList(bytes),
    () => {
      const stream = new StreamedReplay({ banks: ['sha256'] });
      stream.push(bytes);
      stream.end();
    },
  ]) {
    try {
      read();
    } catch (error) {
      assert.ok(error instanceof AssayError, String(error));
    }
  }
}

test('any bytes, and any mutation of a list, give entries or a typed error', () => {
  const all = [
    list,
    ascii,
    Buffer.concat([list, encodeViolation('/v').bytes]),
    Buffer.concat(encodeSamples('sha512').map((e) => e.bytes)),
  ];
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), readEverything), { numRuns: 200 });
  const mutation = fc.tuple(fc.nat(3), fc.nat(2000), fc.uint8Array({ minLength: 1, maxLength: 4 }), fc.nat(2500));
  fc.assert(
    fc.property(mutation, ([which, at, bytes, end]) => {
      const mutated = Buffer.from(all[which] ?? list);
      mutated.set(bytes, at % (mutated.length - 4));
      readEverything(mutated.subarray(0, end));
    }),
    { numRuns: 300 },
  );
});

test('what was written is what is read', () => {
  const path = fc
    .string({ unit: 'binary', maxLength: 60 })
    .map((text) => text.replaceAll('\0', '').replaceAll(' ', '_'));
  fc.assert(
    fc.property(fc.array(path, { minLength: 1, maxLength: 5 }), (paths) => {
      const written = paths.map(
        (name) => encodeImaNgEntry(10, 'sha256', digest('sha256', Buffer.from(name)), name).bytes,
      );
      assert.deepEqual(
        parseMeasurementList(Buffer.concat(written)).map((entry) => entry.fields?.path),
        paths,
      );
    }),
    { numRuns: 200 },
  );
});
