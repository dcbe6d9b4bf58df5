import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { isRefusal, NO_FACTS, NO_SCHEME, NONE, signingKey, startedTpm } from '../../../test/fixtures/started-tpm.ts';
import { toHex } from '../../bytes/index.ts';
import {
  COMMANDS,
  decode,
  Session,
  TPM_RH,
  TPM2_CreatePrimary,
  TPM2_GetCommandAuditDigest,
  TPM2_GetRandom,
  TPM2_GetSessionAuditDigest,
  TPM2_ReadClock,
  TPM2_SetCommandCodeAuditStatus,
  TPMS_ATTEST,
  type TpmClient,
} from '../../tpm/index.ts';

const sha256 = (...parts: readonly (Uint8Array | string)[]): Buffer => {
  const state = createHash('sha256');
  for (const part of parts) state.update(typeof part === 'string' ? Buffer.from(part, 'hex') : part);
  return state.digest();
};
const ZEROS = Buffer.alloc(32);

/** Part 1, 31.2 and 31.3: digestNew = H(digestOld ‖ cpHash ‖ rpHash), of a TPM2_GetRandom that gave these bytes. */
function grownByRandom(old: Uint8Array, asked: number, bytes: Uint8Array): Buffer {
  const size = (value: number): string => value.toString(16).padStart(4, '0');
  const cpHash = sha256('0000017b', size(asked));
  const rpHash = sha256('00000000', '0000017b', size(bytes.length), bytes);
  return sha256(old, cpHash, rpHash);
}

async function commandAudit(client: TpmClient, signHandle: number = TPM_RH.NULL) {
  const request = { privacyHandle: TPM_RH.ENDORSEMENT, signHandle, qualifyingData: NONE, inScheme: NO_SCHEME };
  const { auditInfo } = await client.execute(TPM2_GetCommandAuditDigest, request);
  const attestation = decode(TPMS_ATTEST, auditInfo);
  return attestation.type === 'command_audit' ? attestation.attested : assert.fail(attestation.type);
}

async function audit(client: TpmClient, changes: { auditAlg?: 'sha256'; setList?: number[]; clearList?: number[] }) {
  const request = { auth: TPM_RH.OWNER, auditAlg: 'null', setList: [], clearList: [], ...changes } as const;
  await client.execute(TPM2_SetCommandCodeAuditStatus, request);
}

test('the digest of audited commands is theirs alone, in order, and begins anew once it was signed', async () => {
  const { client } = startedTpm();
  await audit(client, { auditAlg: 'sha256' });
  const before = await commandAudit(client);
  assert.equal(before.auditDigest.length, 0, 'of the command that changes the hash there is no digest');
  await audit(client, { setList: [COMMANDS.TPM2_GetRandom.code] });
  const started = await commandAudit(client);
  // TPM2_SetCommandCodeAuditStatus itself, which the owner authorized: cpHash has the Name of the handle
  const status = sha256('00000140', '40000001', '0010', '00000001', '0000017b', '00000000');
  const expected = sha256(ZEROS, status, sha256('00000000', '00000140'));
  assert.deepEqual([started.digestAlg, toHex(started.auditDigest)], ['sha256', toHex(expected)]);
  assert.equal(started.auditCounter, before.auditCounter + 1n);
  assert.equal(toHex(started.commandDigest), toHex(sha256('00000140', '0000017b')));

  await client.execute(TPM2_ReadClock, {});
  const { randomBytes } = await client.execute(TPM2_GetRandom, { bytesRequested: 8 });
  const grown = await commandAudit(client);
  assert.equal(toHex(grown.auditDigest), toHex(grownByRandom(expected, 8, randomBytes)));

  const primary = { primaryHandle: TPM_RH.ENDORSEMENT, inPublic: signingKey(), ...NO_FACTS };
  const { objectHandle } = await client.execute(TPM2_CreatePrimary, primary);
  assert.deepEqual((await commandAudit(client, objectHandle)).auditDigest, grown.auditDigest, 'nobody had signed it');
  assert.equal((await commandAudit(client)).auditDigest.length, 0);
});

test('TPM2_SetCommandCodeAuditStatus stays audited, TPM2_Shutdown never is', async () => {
  const { client } = startedTpm();
  await audit(client, { auditAlg: 'sha256' });
  const { code } = COMMANDS.TPM2_SetCommandCodeAuditStatus;
  await audit(client, { setList: [COMMANDS.TPM2_Shutdown.code], clearList: [code] });
  assert.equal(toHex((await commandAudit(client)).commandDigest), toHex(sha256('00000140')));
  const both = client.execute(TPM2_SetCommandCodeAuditStatus, {
    auth: TPM_RH.OWNER,
    auditAlg: 'sha384',
    setList: [COMMANDS.TPM2_GetRandom.code],
    clearList: [],
  });
  await assert.rejects(both, isRefusal('VALUE'));
});

async function sessionAudit(client: TpmClient, session: Session) {
  const request = {
    privacyAdminHandle: TPM_RH.ENDORSEMENT,
    signHandle: TPM_RH.NULL,
    sessionHandle: session.handle,
    qualifyingData: NONE,
    inScheme: NO_SCHEME,
  };
  const { auditInfo } = await client.execute(TPM2_GetSessionAuditDigest, request);
  const attestation = decode(TPMS_ATTEST, auditInfo);
  return attestation.type === 'session_audit' ? attestation.attested : assert.fail(attestation.type);
}

test('a session’s digest is that of the commands it audited; it is exclusive until a command goes without it', async () => {
  const { client } = startedTpm();
  const session = await Session.start(client, { type: 'hmac' });
  await assert.rejects(sessionAudit(client, session), isRefusal('TYPE'), 'it audits nothing yet');
  session.attributes = { continueSession: true, audit: true };
  let digest: Uint8Array = ZEROS;
  for (const asked of [8, 16]) {
    const { randomBytes } = await client.execute(TPM2_GetRandom, { bytesRequested: asked }, { also: [session] });
    digest = grownByRandom(digest, asked, randomBytes);
  }
  const first = await sessionAudit(client, session);
  assert.deepEqual([toHex(first.sessionDigest), first.exclusiveSession], [toHex(digest), true]);

  // That request was not audited by the session
  assert.equal((await sessionAudit(client, session)).exclusiveSession, false);
  session.attributes = { continueSession: true, audit: true, auditExclusive: true };
  const exclusively = () => client.execute(TPM2_GetRandom, { bytesRequested: 4 }, { also: [session] });
  await assert.rejects(exclusively(), isRefusal('EXCLUSIVE'));
  session.attributes = { continueSession: true, audit: true, auditReset: true };
  const { randomBytes } = await client.execute(TPM2_GetRandom, { bytesRequested: 4 }, { also: [session] });
  const again = await sessionAudit(client, session);
  assert.deepEqual(
    [toHex(again.sessionDigest), again.exclusiveSession],
    [toHex(grownByRandom(ZEROS, 4, randomBytes)), true],
  );
});
