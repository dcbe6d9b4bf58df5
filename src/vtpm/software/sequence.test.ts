/** What becomes of a sequence when the TPM is saved, and of one that is saved itself. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import {
  marshalCommand,
  type RequestOf,
  TPM_RC,
  TPM_RH,
  TPM2_ContextLoad,
  TPM2_ContextSave,
  TPM2_FlushContext,
  TPM2_HashSequenceStart,
  TPM2_SequenceComplete,
  TPM2_SequenceUpdate,
  TPM2_Startup,
  type TPMS_AUTH_COMMAND,
  unmarshalResponse,
} from '../../tpm/index.ts';
import { SoftwareTpm } from './software-tpm.ts';

const FIRST = 0x80000000;
const NONE = new Uint8Array(0);
const PASSWORD: readonly TPMS_AUTH_COMMAND[] = [
  { sessionHandle: TPM_RH.PW, nonce: NONE, sessionAttributes: { continueSession: true }, hmac: NONE },
];
const rcOf = (response: Uint8Array): number => Buffer.from(response).readUInt32BE(6);
const flush = marshalCommand(TPM2_FlushContext, { flushHandle: FIRST });

function tpmWithSequence(): SoftwareTpm {
  const tpm = SoftwareTpm.manufacture();
  tpm.execute(marshalCommand(TPM2_Startup, { startupType: 'clear' }));
  assert.equal(rcOf(tpm.execute(marshalCommand(TPM2_HashSequenceStart, { auth: NONE, hashAlg: 'sha256' }))), 0);
  return tpm;
}

function update(tpm: SoftwareTpm, text: string): void {
  const request: RequestOf<typeof TPM2_SequenceUpdate> = { sequenceHandle: FIRST, buffer: Buffer.from(text) };
  assert.equal(rcOf(tpm.execute(marshalCommand(TPM2_SequenceUpdate, request, PASSWORD))), TPM_RC.SUCCESS);
}

function complete(tpm: SoftwareTpm, text: string): Uint8Array {
  const request = { sequenceHandle: FIRST, buffer: Buffer.from(text), hierarchy: TPM_RH.OWNER };
  const response = tpm.execute(marshalCommand(TPM2_SequenceComplete, request, PASSWORD));
  return unmarshalResponse(TPM2_SequenceComplete, response).response.result;
}

const sha256 = (text: string): Uint8Array => new Uint8Array(createHash('sha256').update(text).digest());

test('a sequence goes on after the TPM was saved and restored in its middle', () => {
  const tpm = tpmWithSequence();
  update(tpm, 'one ');
  const restored = SoftwareTpm.restore(tpm.save());
  update(restored, 'two ');
  assert.deepEqual(complete(restored, 'three'), sha256('one two three'));
});

test('a saved sequence goes on from where it was saved, as often as its context is loaded', () => {
  const tpm = tpmWithSequence();
  update(tpm, 'one ');
  const { response: saved } = unmarshalResponse(
    TPM2_ContextSave,
    tpm.execute(marshalCommand(TPM2_ContextSave, { saveHandle: FIRST })),
  );
  assert.equal(saved.context.savedHandle, 0x80000001);
  assert.deepEqual(complete(tpm, 'two'), sha256('one two'));
  for (const end of ['three', 'four']) {
    assert.equal(rcOf(tpm.execute(marshalCommand(TPM2_ContextLoad, saved))), TPM_RC.SUCCESS);
    assert.deepEqual(complete(tpm, end), sha256(`one ${end}`));
  }
});

test('a sequence ends with power and where handles are released; its place is free then', () => {
  const powered = tpmWithSequence();
  powered.powerOn();
  powered.execute(marshalCommand(TPM2_Startup, { startupType: 'clear' }));
  const released = tpmWithSequence();
  released.releaseHandles();
  for (const tpm of [powered, released]) {
    assert.notEqual(rcOf(tpm.execute(flush)), TPM_RC.SUCCESS);
    const started = tpm.execute(marshalCommand(TPM2_HashSequenceStart, { auth: NONE, hashAlg: 'null' }));
    assert.equal(Buffer.from(started).readUInt32BE(10), FIRST);
  }
});
