/** Properties that hold for every structure and every command: what is written is read, and nothing else is thrown. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { digestInfo } from '../bytes/index.ts';
import {
  type AnyCommand,
  COMMANDS,
  type Codec,
  decode,
  encode,
  type FieldEntries,
  marshalCommand,
  marshalResponse,
  TPM_ST,
  TPMI_ALG_HASH,
  type TPMS_AUTH_COMMAND,
  TpmError,
  TpmParseError,
  unmarshalCommand,
  unmarshalResponse,
} from './index.ts';
import * as structures from './structures.ts';

const hashes = Object.keys(TPMI_ALG_HASH.values) as TPMI_ALG_HASH[]; // its own keys
/** Objects as the codecs make them. */
const PLAIN = { noNullPrototype: true } as const;
const bytesUpTo = (max: number) => fc.uint8Array({ maxLength: Math.min(max, 80) });

const select = fc.oneof(
  fc.record({ pcrs: pcrsBelow(24) }, PLAIN),
  fc.record({ pcrs: pcrsBelow(32), sizeofSelect: fc.constant(4) }, PLAIN),
);
function pcrsBelow(count: number): fc.Arbitrary<number[]> {
  return fc.uniqueArray(fc.nat(count - 1)).map((pcrs) => pcrs.toSorted((a, b) => a - b));
}

const HANDLES = [0, 10, 0x01500016, 0x02000000, 0x03000001, 0x80000001, 0x81010001, 0x40000001, 0x40000007];
const PERMANENT = [0x40000009, 0x4000000a, 0x4000000b, 0x4000000c, 0x4000000d];

const hashed = fc.constantFrom(...hashes).chain((hashAlg) => {
  const { size } = digestInfo(hashAlg);
  return fc.record(
    { hashAlg: fc.constant(hashAlg), digest: fc.uint8Array({ minLength: size, maxLength: size }) },
    PLAIN,
  );
});

/** Values of the types that are written by hand. */
const OWN: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  TPMT_HA: hashed,
  'TPMT_HA+': fc.oneof(hashed, fc.constant({ hashAlg: 'null' })),
  TPMS_PCR_SELECTION: fc.tuple(fc.constantFrom(...hashes), select).map(([hash, rest]) => ({ hash, ...rest })),
  TPMS_TAGGED_PCR_SELECT: fc.tuple(fc.nat(0x14), select).map(([tag, rest]) => ({ tag, ...rest })),
  TPMI_YES_NO: fc.boolean(),
  TPM_ST: fc.constantFrom(...Object.values(TPM_ST)),
};

function handles(codec: Codec<unknown>): fc.Arbitrary<unknown> {
  const fitting = [...HANDLES, ...PERMANENT].filter((value) => isWritable(codec, value));
  assert.ok(fitting.length > 0, `no value for ${codec.name}`);
  return fc.constantFrom(...fitting);
}

function isWritable(codec: Codec<unknown>, value: unknown): boolean {
  try {
    encode(codec, value);
    return true;
  } catch {
    return false;
  }
}

function fields(entries: FieldEntries): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(Object.fromEntries(entries.map(([name, codec]) => [name, valuesOf(codec)])), PLAIN);
}

/** Any value of a type, made up from its shape. */
function valuesOf(codec: Codec<unknown>): fc.Arbitrary<unknown> {
  const { shape } = codec;
  switch (shape.kind) {
    case 'integer':
      if (shape.bits === 64) return fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
      if (shape.signed) return fc.integer();
      return fc.integer({ min: 0, max: 2 ** shape.bits - 1 });
    case 'constant':
      return fc.constantFrom(...Object.keys(shape.values));
    case 'attributes':
      return attributesOf(shape.places);
    case 'bytes':
      return bytesUpTo(shape.max);
    case 'sized':
      return shape.mayBeEmpty ? fc.option(valuesOf(shape.inner), { nil: undefined }) : valuesOf(shape.inner);
    case 'list':
      return fc.array(valuesOf(shape.element), { minLength: shape.min, maxLength: Math.min(shape.max, 4) });
    case 'struct':
      return fields(shape.fields);
    case 'tagged':
      return fc.oneof(
        ...[...shape.variants].map(([key, own]) =>
          fc
            .tuple(fields(shape.shared), fields(own))
            .map(([shared, rest]) => ({ [shape.selector]: key, ...shared, ...rest })),
        ),
      );
    case 'own':
      return OWN[codec.name] ?? handles(codec);
  }
}

function attributesOf(places: Readonly<Record<string, number | readonly [number, number]>>): fc.Arbitrary<unknown> {
  const model = Object.entries(places).map(([name, place]): [string, fc.Arbitrary<boolean | number>] => [
    name,
    typeof place === 'number' ? fc.constant(true) : fc.integer({ min: 1, max: 2 ** (place[1] - place[0] + 1) - 1 }),
  ]);
  return fc.record(Object.fromEntries(model), { requiredKeys: [], ...PLAIN });
}

const isCodec = (value: unknown): value is Codec<unknown> =>
  typeof value === 'object' && value !== null && 'shape' in value && 'read' in value;
const CODECS = Object.values<unknown>(structures).filter(isCodec);

/** Flips, cuts or adds bytes. */
function damage(bytes: Uint8Array): fc.Arbitrary<Uint8Array> {
  const at = fc.nat(Math.max(0, bytes.length - 1));
  return fc.oneof(
    fc.tuple(at, fc.integer({ min: 1, max: 255 })).map(([i, mask]) => bytes.map((b, j) => (i === j ? b ^ mask : b))),
    at.map((end) => bytes.slice(0, end)),
    fc.uint8Array({ minLength: 1, maxLength: 4 }).map((more) => new Uint8Array([...bytes, ...more])),
  );
}

/** Either the typed error, or a value that is written back to the same bytes: every structure has one encoding. */
function readsOrRefuses(codec: Codec<unknown>, bytes: Uint8Array): void {
  let value: unknown;
  try {
    value = decode(codec, bytes);
  } catch (error) {
    assert.ok(error instanceof TpmParseError, String(error));
    assert.ok(error.rc !== 0 && error.path[0] === codec.name && error.offset <= bytes.length);
    return;
  }
  assert.deepEqual(encode(codec, value), new Uint8Array(bytes));
}

test('the tables hold the structures of Part 2 that the commands need', () => {
  assert.ok(CODECS.length > 130, `${CODECS.length} types`);
});

test('every structure reads what it has written', () => {
  for (const codec of CODECS) {
    fc.assert(
      fc.property(valuesOf(codec), (value) => assert.deepEqual(decode(codec, encode(codec, value)), value)),
      { numRuns: 30 },
    );
  }
});

test('damaged bytes of every structure give the typed error, or the value that they say', () => {
  for (const codec of CODECS) {
    const damaged = valuesOf(codec).chain((value) => damage(encode(codec, value)));
    fc.assert(
      fc.property(damaged, (bytes) => readsOrRefuses(codec, bytes)),
      { numRuns: 60 },
    );
  }
});

test('random bytes give the typed error, or the value that they say', () => {
  for (const codec of CODECS) {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => readsOrRefuses(codec, bytes)),
      { numRuns: 20 },
    );
  }
});

const NOBODY = { nonce: new Uint8Array(), sessionAttributes: {}, hmac: new Uint8Array() };
const PASSWORD: TPMS_AUTH_COMMAND = { sessionHandle: 0x40000009, ...NOBODY };

const requestsOf = (command: AnyCommand) =>
  fc
    .tuple(fields(command.requestHandles.fields), fields(command.requestParameters.fields))
    .map(([handleValues, parameters]) => ({ ...handleValues, ...parameters }));
const responsesOf = (command: AnyCommand) =>
  fc
    .tuple(fields(command.responseHandles.fields), fields(command.responseParameters.fields))
    .map(([handleValues, parameters]) => ({ ...handleValues, ...parameters }));

test('every command and response crosses from either side to the other', () => {
  for (const command of Object.values<AnyCommand>(COMMANDS)) {
    const sessions = fc.nat(3);
    fc.assert(
      fc.property(requestsOf(command), responsesOf(command), sessions, (request, response, count) => {
        const read = unmarshalCommand(marshalCommand(command, request, Array(count).fill(PASSWORD)));
        assert.equal(read.command, command);
        assert.deepEqual(read.request, request);
        assert.equal(read.authorizations.length, count);
        const answer = unmarshalResponse(command, marshalResponse(command, response, Array(count).fill(NOBODY)));
        assert.deepEqual(answer.response, response);
        assert.equal(answer.authorizations.length, count);
      }),
      { numRuns: 20 },
    );
  }
});

test('a damaged command gives the typed error with a response code; a damaged response a typed error', () => {
  for (const command of Object.values<AnyCommand>(COMMANDS)) {
    const commands = requestsOf(command).chain((request) => damage(marshalCommand(command, request, [PASSWORD])));
    const responses = responsesOf(command).chain((response) => damage(marshalResponse(command, response, [NOBODY])));
    fc.assert(
      fc.property(commands, responses, (bytes, answer) => {
        try {
          unmarshalCommand(bytes);
        } catch (error) {
          assert.ok(error instanceof TpmParseError && error.rc !== 0, String(error));
        }
        try {
          unmarshalResponse(command, answer);
        } catch (error) {
          assert.ok(error instanceof TpmParseError || error instanceof TpmError, String(error));
        }
      }),
      { numRuns: 30 },
    );
  }
});
