/** Hash, HMAC and event sequences: the same commands to the software TPM and to swtpm, answered alike. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digest, toHex } from '../../src/bytes/index.ts';
import {
  commandName,
  describeResponseCode,
  marshalCommand,
  TPM_GENERATED,
  TPM_RH,
  TPM2_EventSequenceComplete,
  TPM2_FlushContext,
  TPM2_GetCapability,
  TPM2_HashSequenceStart,
  TPM2_HMAC,
  TPM2_HMAC_Start,
  TPM2_LoadExternal,
  TPM2_PCR_Read,
  TPM2_ReadPublic,
  TPM2_SequenceComplete,
  TPM2_SequenceUpdate,
  TPM2_Startup,
  type TPMI_ALG_HASH_NULL,
  type TPMS_AUTH_COMMAND,
  type TPMT_PUBLIC,
  unmarshalResponse,
} from '../../src/tpm/index.ts';
import { SoftwareTpm } from '../../src/vtpm/index.ts';
import { runSwtpm } from '../fixtures/running-swtpm.ts';
import { requires } from './requirements.ts';

const NONE = new Uint8Array(0);
const password = (text = ''): TPMS_AUTH_COMMAND => ({
  sessionHandle: TPM_RH.PW,
  nonce: NONE,
  sessionAttributes: { continueSession: true },
  hmac: Buffer.from(text),
});
const AUTH = Buffer.from('sequence-auth');
const ALLOWED = [password('sequence-auth')];
const FIRST = 0x80000000;
const SECOND = FIRST + 1;
const BLOCK = Buffer.alloc(1024, 0xa5);
const GENERATED = Buffer.alloc(5);
GENERATED.writeUInt32BE(TPM_GENERATED);

const startHash = (hashAlg: TPMI_ALG_HASH_NULL, auth: Uint8Array = AUTH) =>
  marshalCommand(TPM2_HashSequenceStart, { auth, hashAlg });
const startHmac = (hashAlg: TPMI_ALG_HASH_NULL, handle = FIRST) =>
  marshalCommand(TPM2_HMAC_Start, { handle, auth: AUTH, hashAlg }, [password('key-auth')]);
const update = (sequenceHandle: number, buffer: Uint8Array, auth = ALLOWED) =>
  marshalCommand(TPM2_SequenceUpdate, { sequenceHandle, buffer }, auth);
const complete = (sequenceHandle: number, buffer: Uint8Array, hierarchy: number = TPM_RH.OWNER, auth = ALLOWED) =>
  marshalCommand(TPM2_SequenceComplete, { sequenceHandle, buffer, hierarchy }, auth);
const completeEvent = (pcrHandle: number, sequenceHandle: number, buffer: Uint8Array) =>
  marshalCommand(TPM2_EventSequenceComplete, { pcrHandle, sequenceHandle, buffer }, [password(), ...ALLOWED]);
const flush = (flushHandle: number) => marshalCommand(TPM2_FlushContext, { flushHandle });

const SEED = Buffer.alloc(32, 7);
const KEY = Buffer.from('an HMAC key');

const loadKey = (scheme: 'hmac' | 'null', attributes: TPMT_PUBLIC['objectAttributes']) =>
  marshalCommand(TPM2_LoadExternal, {
    inPrivate: { sensitiveType: 'keyedhash', authValue: Buffer.from('key-auth'), seedValue: SEED, sensitive: KEY },
    inPublic: {
      type: 'keyedhash',
      nameAlg: 'sha256',
      objectAttributes: { userWithAuth: true, noDA: true, ...attributes },
      authPolicy: NONE,
      parameters: { scheme: scheme === 'hmac' ? { scheme, hashAlg: 'sha256' } : { scheme } },
      unique: digest('sha256', SEED, KEY),
    },
    hierarchy: TPM_RH.NULL,
  });

const handles = marshalCommand(TPM2_GetCapability, { capability: 'handles', property: FIRST, propertyCount: 8 });
const readPcrs = (hash: 'sha1' | 'sha256' | 'sha384' | 'sha512') =>
  marshalCommand(TPM2_PCR_Read, { pcrSelectionIn: [{ hash, pcrs: [16] }] });

/** In order; after a start the sequence has the lowest handle that is free. */
const COMMANDS: readonly Uint8Array[] = [
  // A hash of many buffers, of none, and in each hierarchy
  ...(['sha1', 'sha256', 'sha384', 'sha512'] as const).flatMap((hashAlg) => [
    startHash(hashAlg),
    update(FIRST, BLOCK),
    update(FIRST, BLOCK.subarray(1)),
    update(FIRST, NONE),
    complete(FIRST, Buffer.from('the end')),
    handles,
  ]),
  startHash('sha256', NONE),
  complete(FIRST, NONE, TPM_RH.NULL, [password()]),
  // Tickets: none for what could pass for the TPM's own, or begins with less than tells
  ...[GENERATED, GENERATED.subarray(0, 3), Buffer.alloc(4, 1), NONE].flatMap((first) => [
    startHash('sha256'),
    update(FIRST, first),
    update(FIRST, BLOCK),
    complete(FIRST, NONE, TPM_RH.ENDORSEMENT),
    startHash('sha256'),
    complete(FIRST, first, TPM_RH.ENDORSEMENT),
  ]),
  // What a sequence is not
  startHash('sm3'),
  startHash('sha256'),
  handles,
  update(FIRST, BLOCK, [password('wrong')]),
  update(FIRST, BLOCK, []),
  update(SECOND, BLOCK),
  marshalCommand(TPM2_ReadPublic, { objectHandle: FIRST }),
  completeEvent(16, FIRST, BLOCK),
  complete(FIRST, BLOCK, TPM_RH.OWNER, [password('wrong')]),
  startHash('sha256'),
  startHash('null'),
  startHash('sha256'),
  complete(FIRST + 2, BLOCK),
  flush(FIRST + 2),
  flush(FIRST + 2),
  flush(SECOND),
  complete(FIRST, BLOCK),
  complete(FIRST, BLOCK),
  // Events
  startHash('null'),
  update(FIRST, BLOCK),
  completeEvent(16, FIRST, Buffer.from('event')),
  ...(['sha1', 'sha256', 'sha384', 'sha512'] as const).map(readPcrs),
  startHash('null'),
  complete(FIRST, BLOCK),
  completeEvent(18, FIRST, BLOCK),
  completeEvent(TPM_RH.NULL, FIRST, BLOCK),
  handles,
  // HMACs
  // Only a key that signs and decrypts, or does neither, has no scheme of its own
  loadKey('null', { sign: true }),
  loadKey('null', { decrypt: true }),
  loadKey('hmac', { sign: true, decrypt: true }),
  loadKey('hmac', { decrypt: true }),
  loadKey('hmac', {}),
  loadKey('null', { sign: true, decrypt: true }),
  startHmac('null'),
  startHmac('sha384'),
  update(SECOND, BLOCK),
  update(SECOND, GENERATED),
  completeEvent(16, SECOND, BLOCK),
  complete(SECOND, Buffer.from('the end')),
  marshalCommand(TPM2_HMAC, { handle: FIRST, buffer: BLOCK, hashAlg: 'sha384' }, [password('key-auth')]),
  // TPM2_SequenceUpdate of a key is left out: libtpms 0.9 says parameter 1, where Part 3, 17.5 has the handle
  complete(FIRST, BLOCK, TPM_RH.OWNER, [password('key-auth')]),
  flush(FIRST),
  loadKey('hmac', { sign: true }),
  startHmac('sha384'),
  startHmac('null'),
  complete(SECOND, BLOCK),
  startHmac('sha256'),
  complete(SECOND, NONE),
  flush(FIRST),
  loadKey('null', {}),
  startHmac('sha256'),
  flush(FIRST),
  startHash('sha256'),
  startHmac('sha256'),
  flush(FIRST),
  handles,
];

/** Tickets are each TPM's own: what they vouch for and how long they are is compared. */
function comparable(name: string, response: Buffer): string {
  if (name !== 'TPM2_SequenceComplete' || response.readUInt32BE(6) !== 0) return response.toString('hex');
  const { result, validation } = unmarshalResponse(TPM2_SequenceComplete, response).response;
  return `${toHex(result)} ${validation.hierarchy} ${validation.digest.length}`;
}

test('sequences answer as those of swtpm do', requires('swtpm'), async () => {
  await using swtpm = await runSwtpm();
  const peer = await swtpm.client();
  const ours = SoftwareTpm.manufacture();
  const startup = marshalCommand(TPM2_Startup, { startupType: 'clear' });
  ours.execute(startup);
  await peer.transmit(startup); // the supervisor may have sent it
  const differences: string[] = [];
  for (const [index, command] of COMMANDS.entries()) {
    const name = commandName(Buffer.from(command).readUInt32BE(6));
    const [a, b] = [Buffer.from(ours.execute(command)), Buffer.from(await peer.transmit(command))];
    const [ourRc, peerRc] = [a.readUInt32BE(6), b.readUInt32BE(6)];
    const what = `${index} ${name}`;
    if (ourRc !== peerRc) {
      differences.push(`${what}: ${describeResponseCode(ourRc)} | swtpm ${describeResponseCode(peerRc)}`);
    } else if (name !== 'TPM2_PCR_Read' && comparable(name, a) !== comparable(name, b)) {
      differences.push(`${what}: ${comparable(name, a)} | swtpm ${comparable(name, b)}`);
    }
  }
  assert.deepEqual(differences, []);
});
