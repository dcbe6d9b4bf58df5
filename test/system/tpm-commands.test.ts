/**
 * The command table against swtpm: each command is sent, each answer read and written back to the byte; and commands
 * with flipped bytes, which must be refused with the response code that swtpm gives.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import * as tpm from '../../src/tpm/index.ts';
import { requires } from './requirements.ts';

const NONE = new Uint8Array();
const PASSWORD: tpm.TPMS_AUTH_COMMAND = {
  sessionHandle: tpm.TPM_RH.PW,
  nonce: NONE,
  sessionAttributes: {},
  hmac: NONE,
};
const { OWNER, ENDORSEMENT, LOCKOUT, NULL } = tpm.TPM_RH;

/** Bytes to bytes; one command at a time. */
type Exchange = (command: Uint8Array) => Promise<Uint8Array>;

async function withSwtpm(use: (exchange: Exchange) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'assay-tpm-'));
  const path = join(folder, 'socket');
  const process = spawn(
    'swtpm',
    ['socket', '--tpm2', '--tpmstate', `dir=${folder}`, '--server', `type=unixio,path=${path}`].concat([
      '--ctrl',
      `type=unixio,path=${path}.ctrl`,
      '--flags',
      'not-need-init,startup-clear',
    ]),
    { stdio: 'ignore' },
  );
  const ended = once(process, 'exit');
  try {
    for (let i = 0; i < 100 && !existsSync(path); i++) await delay(50);
    const socket = connect(path);
    await once(socket, 'connect');
    await use((command) => exchangeOn(socket, command));
    socket.destroy();
  } finally {
    process.kill();
    await ended;
    rmSync(folder, { recursive: true });
  }
}

async function exchangeOn(socket: Socket, command: Uint8Array): Promise<Uint8Array> {
  socket.write(command);
  let answer = Buffer.alloc(0);
  while (answer.length < 10 || answer.length < answer.readUInt32BE(2)) {
    const [chunk] = (await once(socket, 'data')) as [Buffer]; // no encoding is set on this socket
    answer = Buffer.concat([answer, chunk]);
  }
  // libtpms asks for another try after it has written its dictionary attack state (TPM_RC_RETRY)
  return rcOf(answer) === tpm.TPM_RC.RETRY ? exchangeOn(socket, command) : new Uint8Array(answer);
}

const rcOf = (answer: Uint8Array): number => Buffer.from(answer).readUInt32BE(6);

/** Sends a request with empty passwords; holds that both sides of the table agree with swtpm's bytes. */
function runner(exchange: Exchange) {
  return async <H extends object, P extends object, RH extends object, RP extends object>(
    command: tpm.Command<H, P, RH, RP>,
    request: H & P,
  ): Promise<RH & RP> => {
    const passwords = command.handles.filter(({ auth }) => auth !== undefined).map(() => PASSWORD);
    const bytes = tpm.marshalCommand(command, request, passwords);
    assert.deepEqual(tpm.unmarshalCommand(bytes).request, request, command.name);
    const answer = await exchange(bytes);
    const { response, authorizations } = tpm.unmarshalResponse(command, answer);
    assert.deepEqual(new Uint8Array(tpm.marshalResponse(command, response, authorizations)), answer, command.name);
    return response;
  };
}

const KEY: tpm.TPMA_OBJECT = {
  fixedTPM: true,
  fixedParent: true,
  sensitiveDataOrigin: true,
  userWithAuth: true,
  noDA: true,
};
const AK: Extract<tpm.TPMT_PUBLIC, { type: 'ecc' }> = {
  type: 'ecc',
  nameAlg: 'sha256',
  objectAttributes: { ...KEY, restricted: true, sign: true },
  authPolicy: NONE,
  parameters: {
    symmetric: { algorithm: 'null' },
    scheme: { scheme: 'ecdsa', hashAlg: 'sha256' },
    curveID: 'p256',
    kdf: { scheme: 'null' },
  },
  unique: { x: NONE, y: NONE },
};
const STORAGE: tpm.TPMT_PUBLIC = {
  ...AK,
  objectAttributes: { ...KEY, restricted: true, decrypt: true },
  parameters: {
    ...AK.parameters,
    symmetric: { algorithm: 'aes', keyBits: 128, mode: 'cfb' },
    scheme: { scheme: 'null' },
  },
};
const SEALED: tpm.TPMT_PUBLIC = {
  type: 'keyedhash',
  nameAlg: 'sha256',
  objectAttributes: { fixedTPM: true, fixedParent: true, userWithAuth: true },
  authPolicy: NONE,
  parameters: { scheme: { scheme: 'null' } },
  unique: NONE,
};
const PCRS: tpm.TPML_PCR_SELECTION = [{ hash: 'sha256', pcrs: [0, 10] }];
const primary = (inPublic: tpm.TPMT_PUBLIC): tpm.RequestOf<typeof tpm.TPM2_CreatePrimary> => ({
  primaryHandle: OWNER,
  inSensitive: { userAuth: NONE, data: NONE },
  inPublic,
  outsideInfo: NONE,
  creationPCR: PCRS,
});
const OWN_SCHEME = { qualifyingData: new Uint8Array(32), inScheme: { scheme: 'null' } } as const;

function assertRereads(attestation: Uint8Array, type: tpm.TPMS_ATTEST['type']): void {
  const value = tpm.decode(tpm.TPMS_ATTEST, attestation);
  assert.equal(value.type, type);
  assert.deepEqual(new Uint8Array(tpm.encode(tpm.TPMS_ATTEST, value)), attestation);
}

test('every capability reads, and the commands have the handles that swtpm says', requires('swtpm'), () =>
  withSwtpm(async (exchange) => {
    const run = runner(exchange);
    const first = { handles: [0, 0x01000000, 0x40000000, 0x81000000], tpm_properties: [0x100, 0x200] };
    for (const capability of [
      'algs',
      'handles',
      'commands',
      'pp_commands',
      'audit_commands',
      'pcrs',
      'tpm_properties',
      'pcr_properties',
      'ecc_curves',
    ] as const) {
      const properties = capability === 'handles' || capability === 'tpm_properties' ? first[capability] : [0];
      for (const property of properties) {
        const { capabilityData } = await run(tpm.TPM2_GetCapability, { capability, property, propertyCount: 254 });
        if (capabilityData.capability !== 'commands') continue;
        for (const { commandIndex = 0, cHandles = 0, rHandle = false } of capabilityData.data) {
          const command = tpm.commandByCode(commandIndex);
          if (command === undefined) continue;
          assert.equal(command.handles.length, cHandles, command.name);
          assert.equal(command.responseHandles.fields.length > 0, rHandle, command.name);
        }
      }
    }
  }),
);

test('keys, quotes, certifications and signatures', requires('swtpm'), () =>
  withSwtpm(async (exchange) => {
    const run = runner(exchange);
    const ak = await run(tpm.TPM2_CreatePrimary, primary(AK));
    const signHandle = ak.objectHandle;
    assert.deepEqual(tpm.objectName(ak.outPublic), ak.name);
    const extended = [{ hashAlg: 'sha256', digest: new Uint8Array(32) } as const];
    await run(tpm.TPM2_PCR_Extend, { pcrHandle: 10, digests: extended });
    await run(tpm.TPM2_PCR_Event, { pcrHandle: 16, eventData: new Uint8Array(5) });
    await run(tpm.TPM2_PCR_Reset, { pcrHandle: 16 });
    await run(tpm.TPM2_PCR_Read, { pcrSelectionIn: PCRS });
    assertRereads((await run(tpm.TPM2_Quote, { signHandle, ...OWN_SCHEME, PCRselect: PCRS })).quoted, 'quote');
    const certified = await run(tpm.TPM2_Certify, { objectHandle: signHandle, signHandle, ...OWN_SCHEME });
    assertRereads(certified.certifyInfo, 'certify');
    const { creationHash, creationTicket } = ak;
    const creation = { signHandle, objectHandle: signHandle, ...OWN_SCHEME, creationHash, creationTicket };
    assertRereads((await run(tpm.TPM2_CertifyCreation, creation)).certifyInfo, 'creation');
    const time = await run(tpm.TPM2_GetTime, { privacyAdminHandle: ENDORSEMENT, signHandle, ...OWN_SCHEME });
    assertRereads(time.timeInfo, 'time');
    const hash = await run(tpm.TPM2_Hash, { data: new Uint8Array(4), hashAlg: 'sha256', hierarchy: OWNER });
    const signing = { keyHandle: signHandle, digest: hash.outHash, validation: hash.validation };
    const { signature } = await run(tpm.TPM2_Sign, { ...signing, inScheme: { scheme: 'null' } });
    assert.ok(signature.sigAlg !== 'null');
    await run(tpm.TPM2_VerifySignature, { keyHandle: signHandle, digest: hash.outHash, signature });
    const read = await run(tpm.TPM2_ReadPublic, { objectHandle: signHandle });
    assert.deepEqual(tpm.qualifiedName('sha256', tpm.handleName(OWNER), read.name), read.qualifiedName);
    const saved = await run(tpm.TPM2_ContextSave, { saveHandle: signHandle });
    await run(tpm.TPM2_FlushContext, { flushHandle: signHandle });
    await run(tpm.TPM2_ContextLoad, saved);
  }),
);

test('sealing, credentials, persistent and external objects', requires('swtpm'), () =>
  withSwtpm(async (exchange) => {
    const run = runner(exchange);
    const { objectHandle: parentHandle, outPublic } = await run(tpm.TPM2_CreatePrimary, primary(STORAGE));
    const data = new Uint8Array(32).fill(7);
    const sealing = { parentHandle, inSensitive: { userAuth: NONE, data }, inPublic: SEALED };
    const sealed = await run(tpm.TPM2_Create, { ...sealing, outsideInfo: NONE, creationPCR: PCRS });
    const loading = { parentHandle, inPrivate: sealed.outPrivate, inPublic: sealed.outPublic };
    const { objectHandle: itemHandle, name } = await run(tpm.TPM2_Load, loading);
    assert.deepEqual((await run(tpm.TPM2_Unseal, { itemHandle })).outData, data);
    const credential = new Uint8Array(16).fill(3);
    const made = await run(tpm.TPM2_MakeCredential, { handle: parentHandle, credential, objectName: name });
    assert.equal(tpm.decode(tpm.TPMS_ID_OBJECT, made.credentialBlob).encIdentity.length, 18);
    await run(tpm.TPM2_FlushContext, { flushHandle: itemHandle });
    await run(tpm.TPM2_ECDH_KeyGen, { keyHandle: parentHandle });
    const persistentHandle = 0x81000001;
    await run(tpm.TPM2_EvictControl, { auth: OWNER, objectHandle: parentHandle, persistentHandle });
    await run(tpm.TPM2_EvictControl, { auth: OWNER, objectHandle: persistentHandle, persistentHandle });
    await run(tpm.TPM2_LoadExternal, { inPrivate: undefined, inPublic: outPublic, hierarchy: OWNER });
    const { sequenceHandle } = await run(tpm.TPM2_HashSequenceStart, { auth: NONE, hashAlg: 'null' });
    await run(tpm.TPM2_SequenceUpdate, { sequenceHandle, buffer: data });
    await run(tpm.TPM2_EventSequenceComplete, { pcrHandle: 16, sequenceHandle, buffer: NONE });
  }),
);

test('policies, NV indices, clock, random numbers and hierarchies', requires('swtpm'), () =>
  withSwtpm(async (exchange) => {
    const run = runner(exchange);
    const nvIndex = 0x01500020;
    const owned = { ownerread: true, ownerwrite: true };
    const define = (attributes: tpm.TPMA_NV): tpm.RequestOf<typeof tpm.TPM2_NV_DefineSpace> => ({
      authHandle: OWNER,
      auth: NONE,
      publicInfo: { nvIndex, nameAlg: 'sha256', attributes, authPolicy: NONE, dataSize: 8 },
    });
    await run(tpm.TPM2_NV_DefineSpace, define(owned));
    await run(tpm.TPM2_NV_Write, { authHandle: OWNER, nvIndex, data: new Uint8Array(8), offset: 0 });
    const contents = await run(tpm.TPM2_NV_Read, { authHandle: OWNER, nvIndex, size: 8, offset: 0 });
    assert.deepEqual(contents.data, new Uint8Array(8));
    const { nvPublic, nvName } = await run(tpm.TPM2_NV_ReadPublic, { nvIndex });
    assert.deepEqual(tpm.nvName(nvPublic), nvName);
    const { objectHandle: signHandle } = await run(tpm.TPM2_CreatePrimary, primary(AK));
    const certifying = { signHandle, authHandle: OWNER, nvIndex, ...OWN_SCHEME, size: 8, offset: 0 };
    assertRereads((await run(tpm.TPM2_NV_Certify, certifying)).certifyInfo, 'nv');
    await run(tpm.TPM2_NV_UndefineSpace, { authHandle: OWNER, nvIndex });
    await run(tpm.TPM2_NV_DefineSpace, define({ ...owned, nt: tpm.TPM_NT.COUNTER }));
    await run(tpm.TPM2_NV_Increment, { authHandle: OWNER, nvIndex });

    const { sessionHandle: policySession } = await run(tpm.TPM2_StartAuthSession, {
      tpmKey: NULL,
      bind: NULL,
      nonceCaller: new Uint8Array(16),
      encryptedSalt: NONE,
      sessionType: 'policy',
      symmetric: { algorithm: 'null' },
      authHash: 'sha256',
    });
    const asserted = { nonceTPM: NONE, cpHashA: NONE, policyRef: NONE, expiration: -10 };
    await run(tpm.TPM2_PolicyPCR, { policySession, pcrDigest: NONE, pcrs: PCRS });
    await run(tpm.TPM2_PolicyCommandCode, { policySession, code: tpm.TPM2_Unseal.code });
    await run(tpm.TPM2_PolicyLocality, { policySession, locality: { zero: true } });
    const comparison = { operandB: new Uint8Array(8), offset: 0, operation: 'unsigned_ge' } as const;
    await run(tpm.TPM2_PolicyNV, { authHandle: OWNER, nvIndex, policySession, ...comparison });
    await run(tpm.TPM2_PolicySecret, { authHandle: OWNER, policySession, ...asserted });
    await run(tpm.TPM2_PolicyAuthValue, { policySession });
    await run(tpm.TPM2_PolicyPassword, { policySession });
    await run(tpm.TPM2_PolicyGetDigest, { policySession });
    await run(tpm.TPM2_PolicyRestart, { sessionHandle: policySession });

    await run(tpm.TPM2_GetRandom, { bytesRequested: 16 });
    await run(tpm.TPM2_StirRandom, { inData: new Uint8Array(16) });
    await run(tpm.TPM2_ReadClock, {});
    await run(tpm.TPM2_GetTestResult, {});
    await run(tpm.TPM2_SelfTest, { fullTest: true });
    await run(tpm.TPM2_HierarchyChangeAuth, { authHandle: OWNER, newAuth: NONE });
    await run(tpm.TPM2_Clear, { authHandle: LOCKOUT });
    await run(tpm.TPM2_Shutdown, { shutdownType: 'clear' });
  }),
);

/** What `unmarshalCommand` refuses bytes with, or 0. */
function refusalOf(bytes: Uint8Array): number {
  try {
    tpm.unmarshalCommand(bytes);
    return 0;
  } catch (error) {
    assert.ok(error instanceof tpm.TpmParseError, String(error));
    return error.rc;
  }
}

/**
 * Inside a TPM2B the reference code reads past its end and compares sizes afterwards, so that which of the two it
 * answers hangs on the bytes that follow.
 */
const isSize = (rc: number) => tpm.isResponseCode(rc, 'SIZE') || tpm.isResponseCode(rc, 'INSUFFICIENT');

test('a command with a flipped byte is refused with the response code that swtpm gives', requires('swtpm'), () =>
  withSwtpm(async (exchange) => {
    const run = runner(exchange);
    const { objectHandle: signHandle } = await run(tpm.TPM2_CreatePrimary, primary(AK));
    const hash = { data: new Uint8Array(4), hashAlg: 'sha256', hierarchy: OWNER } as const;
    const commands = [
      tpm.marshalCommand(tpm.TPM2_Quote, { signHandle, ...OWN_SCHEME, PCRselect: PCRS }, [PASSWORD]),
      tpm.marshalCommand(tpm.TPM2_Hash, hash),
      tpm.marshalCommand(tpm.TPM2_CreatePrimary, primary(STORAGE), [PASSWORD]),
      tpm.marshalCommand(tpm.TPM2_GetCapability, { capability: 'algs', property: 0, propertyCount: 1 }),
    ];
    let refused = 0;
    for (const command of commands) {
      for (let at = 10; at < command.length; at++) {
        for (const mask of [0x01, 0x7f, 0x80]) {
          const bytes = command.map((byte, i) => (i === at ? byte ^ mask : byte));
          const ours = refusalOf(bytes);
          if (ours === 0) continue; // what reads is a TPM's to judge
          const theirs = rcOf(await exchange(bytes));
          const where = `byte ${at} ^ ${mask} of ${tpm.commandName(Buffer.from(bytes).readUInt32BE(6))}`;
          if (isSize(ours) && isSize(theirs)) assert.equal(ours & 0xf40, theirs & 0xf40, where);
          else assert.equal(tpm.describeResponseCode(ours), tpm.describeResponseCode(theirs), where);
          refused++;
        }
      }
    }
    assert.ok(refused > 200, `${refused} commands were refused`);
  }),
);
