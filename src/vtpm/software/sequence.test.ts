/** What swtpm cannot tell: what becomes of a sequence when the TPM is saved. The commands are in test/system/vtpm-sequences. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  marshalCommand,
  TPM_RC,
  TPM2_ContextSave,
  TPM2_FlushContext,
  TPM2_HashSequenceStart,
  TPM2_Startup,
} from '../../tpm/index.ts';
import { SoftwareTpm } from './software-tpm.ts';

const FIRST = 0x80000000;

function tpmWithSequence(): SoftwareTpm {
  const tpm = SoftwareTpm.manufacture();
  tpm.execute(marshalCommand(TPM2_Startup, { startupType: 'clear' }));
  assert.equal(rcOf(tpm.execute(marshalCommand(TPM2_HashSequenceStart, { auth: Buffer.of(), hashAlg: 'sha256' }))), 0);
  return tpm;
}
const rcOf = (response: Uint8Array): number => Buffer.from(response).readUInt32BE(6);
const flush = marshalCommand(TPM2_FlushContext, { flushHandle: FIRST });

test('a sequence has no context to save', () => {
  const tpm = tpmWithSequence();
  assert.equal(rcOf(tpm.execute(marshalCommand(TPM2_ContextSave, { saveHandle: FIRST }))), TPM_RC.SEQUENCE);
  assert.equal(rcOf(tpm.execute(flush)), TPM_RC.SUCCESS);
});

test('a sequence ends with the process, with power and where handles are released; its place is free then', () => {
  const saved = tpmWithSequence();
  const powered = tpmWithSequence();
  powered.powerOn();
  powered.execute(marshalCommand(TPM2_Startup, { startupType: 'clear' }));
  const released = tpmWithSequence();
  released.releaseHandles();
  for (const tpm of [SoftwareTpm.restore(saved.save()), powered, released]) {
    assert.notEqual(rcOf(tpm.execute(flush)), TPM_RC.SUCCESS);
    const started = tpm.execute(marshalCommand(TPM2_HashSequenceStart, { auth: Buffer.of(), hashAlg: 'null' }));
    assert.equal(Buffer.from(started).readUInt32BE(10), FIRST);
  }
});
