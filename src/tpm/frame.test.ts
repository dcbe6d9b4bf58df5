import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../bytes/index.ts';
import {
  assembleCommand,
  COMMANDS,
  commandBody,
  commandByCode,
  cpHash,
  decode,
  describeCommand,
  encode,
  entityName,
  errorResponse,
  marshalCommand,
  marshalResponse,
  type RequestOf,
  splitCommand,
  TPM_RC,
  TPM_RH,
  TPM2_GetCapability,
  TPM2_PCR_Event,
  TPM2_Quote,
  TPM2_Unseal,
  TPM2B_DIGEST,
  type TPMS_AUTH_COMMAND,
  TPMT_PUBLIC,
  TpmError,
  TpmParseError,
  unmarshalCommand,
  unmarshalRequest,
  unmarshalResponse,
} from './index.ts';

const NONE = new Uint8Array();
const PASSWORD: TPMS_AUTH_COMMAND = { sessionHandle: TPM_RH.PW, nonce: NONE, sessionAttributes: {}, hmac: NONE };

// Sent to, and answered by, swtpm 0.7.1
const EVENT = '80020000001f0000013c000000100000000940000009000000000000020102';
const EVENT_ANSWER =
  '8002000000c300000000000000b00000000400040ca623e2855f2c75c842ad302fe820e41b4d197d000ba12871fee210fb8619291eaea194581cbd25' +
  '31e4b23759d225f6806923f63222000c337059fbf57a65796709c8b66147a2557ec1133d62ede01eae7d2e6406e4408bb5c0dcad79d41b7b465a798f' +
  'e5d29f1c000dbdd81ab233bceb6ad233cd1871509320a18d0335a891cf98730990e8923e1dda04f3358e9c7e1c3d16b16f408cfafb6af53254ef3023' +
  'ed2436533808b6ca99330000010000';
const PCRS = '80010000001600' + '00017a000000050000000000000001';
const PCRS_ANSWER = '80010000002b00000000000000000500000004000403ffffff000b03ffffff000c03ffffff000d03ffffff';

test('a command with a password authorization, from either side', () => {
  const request = { pcrHandle: 16, eventData: new Uint8Array([1, 2]) };
  assert.equal(toHex(marshalCommand(TPM2_PCR_Event, request, [PASSWORD])), EVENT);
  const read = unmarshalCommand(fromHex(EVENT));
  assert.equal(read.command, TPM2_PCR_Event);
  assert.deepEqual(read.request, request);
  assert.deepEqual(read.handles, [16]);
  assert.deepEqual(read.authorizations, [PASSWORD]);
});

test("a TPM's answer with an authorization, from either side", () => {
  const { response, authorizations } = unmarshalResponse(TPM2_PCR_Event, fromHex(EVENT_ANSWER));
  assert.deepEqual(
    response.digests.map(({ hashAlg }) => hashAlg),
    ['sha1', 'sha256', 'sha384', 'sha512'],
  );
  assert.deepEqual(authorizations, [{ nonce: NONE, sessionAttributes: { continueSession: true }, hmac: NONE }]);
  assert.equal(toHex(marshalResponse(TPM2_PCR_Event, response, authorizations)), EVENT_ANSWER);
});

test('a command and an answer without sessions', () => {
  const request = { capability: 'pcrs', property: 0, propertyCount: 1 } as const;
  assert.equal(toHex(marshalCommand(TPM2_GetCapability, request)), PCRS);
  const { response } = unmarshalResponse(TPM2_GetCapability, fromHex(PCRS_ANSWER));
  assert.ok(response.capabilityData.capability === 'pcrs');
  assert.equal(response.capabilityData.data[1]?.pcrs.length, 24);
  assert.equal(toHex(marshalResponse(TPM2_GetCapability, response)), PCRS_ANSWER);
});

test('a TPM splits a command, and types the request once it knows which it is', () => {
  const split = splitCommand(fromHex(EVENT));
  assert.equal(toHex(split.parameters), '00020102');
  const request: RequestOf<typeof TPM2_PCR_Event> = unmarshalRequest(TPM2_PCR_Event, split);
  assert.equal(request.pcrHandle, 16);
});

const QUOTE: RequestOf<typeof TPM2_Quote> = {
  signHandle: 0x80000000,
  qualifyingData: new Uint8Array(4),
  inScheme: { scheme: 'rsassa', hashAlg: 'sha256' },
  PCRselect: [{ hash: 'sha256', pcrs: [0] }],
};

/** What a Quote with these bytes from `at` on is answered; test/system/tpm-commands.test.ts compares with swtpm. */
function refusal(at: number, bytes: readonly number[]): { rc: number; what: string } {
  const command = marshalCommand(TPM2_Quote, QUOTE, [PASSWORD]);
  command.set(bytes, at);
  try {
    unmarshalCommand(command);
  } catch (error) {
    assert.ok(error instanceof TpmParseError);
    return { rc: error.rc, what: error.what };
  }
  return assert.fail('read without an error');
}

test('what does not read is answered as the specification says, with the field and its number', () => {
  assert.deepEqual(refusal(0, [0x00, 0xc1]), { rc: TPM_RC.BAD_TAG, what: 'command' });
  assert.deepEqual(refusal(2, [0, 0, 0, 1]), { rc: TPM_RC.COMMAND_SIZE, what: 'command' });
  assert.deepEqual(refusal(6, [0, 0, 0, 1]), { rc: TPM_RC.COMMAND_CODE, what: 'command' });
  assert.deepEqual(refusal(10, [0x40, 0, 0, 1]), { rc: 0x184, what: 'TPM2_Quote.signHandle' });
  assert.deepEqual(refusal(14, [0, 0, 0, 8]), { rc: TPM_RC.SIZE, what: 'command' });
  assert.deepEqual(refusal(18, [0x80]), { rc: 0x984, what: 'session 1.sessionHandle' });
  assert.deepEqual(refusal(24, [0x18]), { rc: 0x9a1, what: 'session 1.sessionAttributes' });
  assert.deepEqual(refusal(27, [0xff, 0xff]), { rc: 0x1d5, what: 'TPM2_Quote.qualifyingData' });
  assert.deepEqual(refusal(33, [0, 1]), { rc: 0x2d2, what: 'TPM2_Quote.inScheme.scheme' });
  assert.deepEqual(refusal(35, [0, 1]), { rc: 0x2c3, what: 'TPM2_Quote.inScheme.hashAlg' });
  assert.deepEqual(refusal(37, [0, 0, 0, 2]), { rc: 0x3da, what: 'TPM2_Quote.PCRselect[1]' });
  assert.deepEqual(refusal(37, [0xff, 0xff, 0xff, 0xff]), { rc: 0x3d5, what: 'TPM2_Quote.PCRselect' });
  assert.deepEqual(refusal(43, [2]), { rc: 0x3c4, what: 'TPM2_Quote.PCRselect[0]' });
});

test('bytes after the last parameter are TPM_RC_SIZE', () => {
  const body = commandBody(TPM2_Unseal, { itemHandle: 0x80000000 });
  const long = assembleCommand({ ...body, parameters: new Uint8Array(1) }, [PASSWORD]);
  assert.throws(
    () => unmarshalCommand(long),
    (error) => error instanceof TpmParseError && error.rc === TPM_RC.SIZE && error.offset === long.length - 1,
  );
});

test('what cannot be written is refused with its field', () => {
  const refuses = (write: () => unknown, message: RegExp) =>
    assert.throws(
      write,
      (error) => error instanceof TpmError && error.code === 'tpm.argument' && message.test(error.message),
    );
  refuses(
    () => marshalCommand(TPM2_Quote, { ...QUOTE, qualifyingData: new Uint8Array(67) }),
    /^TPM2_Quote\.qualifyingData: 67 bytes, at most 66$/,
  );
  refuses(
    () => marshalCommand(TPM2_Quote, { ...QUOTE, PCRselect: [{ hash: 'sha256', pcrs: [24] }] }),
    /^TPM2_Quote\.PCRselect\[0\]: PCR 24 is not in 0…23$/,
  );
  refuses(
    () => marshalCommand(TPM2_Quote, { ...QUOTE, signHandle: 7 }),
    /^TPM2_Quote\.signHandle: 0x7 is no TPMI_DH_OBJECT\+$/,
  );
  refuses(() => encode(TPM2B_DIGEST, new Uint8Array(65)), /^TPM2B_DIGEST: 65 bytes, at most 64$/);
});

test('a structure that does not read names the field and the byte', () => {
  // type ecc, nameAlg sha256, attributes, no policy, symmetric null, scheme null, then a curve that is none
  const bytes = fromHex('0023000b00000000000000100010ffff');
  assert.throws(
    () => decode(TPMT_PUBLIC, bytes),
    (error) =>
      error instanceof TpmParseError &&
      error.message === 'TPMT_PUBLIC.parameters.curveID: 0xffff is no TPMI_ECC_CURVE (at byte 14)' &&
      error.rc === TPM_RC.CURVE,
  );
});

test("a TPM's refusal is an error with its name; TPM 1.2's tag is answered in its own", () => {
  assert.throws(
    () => unmarshalResponse(TPM2_Quote, errorResponse(0x98e)),
    (error) => error instanceof TpmError && error.code === 'tpm.response' && error.rc === 0x98e,
  );
  assert.equal(toHex(errorResponse(TPM_RC.BAD_TAG)), '00c40000000a0000001e');
});

test('the table: every code once, the first parameter known to be encryptable', () => {
  for (const command of Object.values(COMMANDS)) assert.equal(commandByCode(command.code), command);
  assert.deepEqual(TPM2_Quote.encryptable, { command: true, response: true });
  assert.deepEqual(TPM2_GetCapability.encryptable, { command: false, response: false });
  assert.match(
    describeCommand(TPM2_Unseal),
    /@TPMI_DH_OBJECT itemHandle \(Auth Role: USER\)\n response\n {3}TPM2B_SENSITIVE_DATA outData/,
  );
});

test('the Name of a permanent entity is its handle; an object needs its public area', () => {
  assert.equal(toHex(entityName(TPM_RH.OWNER)), '40000001');
  assert.throws(() => entityName(0x80000000), TpmError);
  // H(TPM_CC_Clear ‖ name of TPM_RH_LOCKOUT), computed with sha256sum
  assert.equal(
    toHex(cpHash('sha256', 0x126, [entityName(TPM_RH.LOCKOUT)], NONE)),
    '558ec0e8683f8ae446d7113c04f056f75ceb90123ec27ecdc04657248dc91db2',
  );
});
