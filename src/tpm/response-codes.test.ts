import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeResponseCode, describeResponseCode, isResponseCode, rcWith, responseError, TPM_RC } from './index.ts';

/** Codes, and what `tpm2_rc_decode` of tpm2-tools 5.4 says of each. */
const KNOWN: readonly (readonly [rc: number, name: string, subject: string, layer: string])[] = [
  [0x000, 'TPM_RC_SUCCESS', '', 'TPM'],
  [0x101, 'TPM_RC_FAILURE', '', 'TPM'],
  [0x100, 'TPM_RC_INITIALIZE', '', 'TPM'],
  [0x2c4, 'TPM_RC_VALUE', 'parameter 2', 'TPM'],
  [0x18b, 'TPM_RC_HANDLE', 'handle 1', 'TPM'],
  [0x98e, 'TPM_RC_AUTH_FAIL', 'session 1', 'TPM'],
  [0x99d, 'TPM_RC_POLICY_FAIL', 'session 1', 'TPM'],
  [0x902, 'TPM_RC_OBJECT_MEMORY', '', 'TPM'],
  [0x921, 'TPM_RC_LOCKOUT', '', 'TPM'],
  [0x01e, 'TPM_RC_BAD_TAG', '', 'TPM'],
  [0x084, 'TPM_RC_VALUE', 'handle 0', 'TPM'],
  [0xb018b, 'TPM_RC_HANDLE', 'handle 1', 'resource manager (TPM code)'],
  [0xa000a, 'TSS_IO_ERROR', '', 'TCTI'],
  [0x7000d, 'TSS_INVALID_SESSIONS', '', 'ESAPI'],
];

for (const [rc, name, subject, layer] of KNOWN) {
  test(`0x${rc.toString(16)} is ${name}${subject === '' ? '' : ` of ${subject}`} from the ${layer}`, () => {
    const decoded = decodeResponseCode(rc);
    const said = decoded.subject === undefined ? '' : `${decoded.subject.kind} ${decoded.subject.number}`;
    assert.deepEqual([decoded.name, said, decoded.layer], [name, subject, layer]);
  });
}

test('every name with every subject decodes to itself', () => {
  for (const [name, base] of Object.entries(TPM_RC)) {
    assert.equal(decodeResponseCode(base).name, `TPM_RC_${name}`);
    for (const subject of [
      { kind: 'parameter', number: 15 },
      { kind: 'handle', number: 7 },
      { kind: 'session', number: 3 },
    ] as const) {
      const rc = rcWith(base, subject);
      const decoded = decodeResponseCode(rc);
      assert.equal(decoded.name, `TPM_RC_${name}`);
      assert.deepEqual(decoded.subject, rc === base ? undefined : subject);
    }
  }
});

test('any number decodes to something', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffffffff }), (rc) => {
      assert.match(describeResponseCode(rc), /^\w+ \(0x[0-9a-f]+\)[^\n]*: \S/);
    }),
  );
});

test("an error for people has the command, the code's name and number, and the place", () => {
  const error = responseError('TPM2_Quote', 0x2c4);
  assert.equal(
    error.message,
    'TPM2_Quote: TPM_RC_VALUE (0x2c4), parameter 2: the value is out of range or not right in this context',
  );
  assert.equal(error.code, 'tpm.response');
  assert.equal(error.rc, 0x2c4);
  assert.ok(isResponseCode(0x2c4, 'VALUE') && !isResponseCode(0x2c4, 'HANDLE'));
});
