/** The same bytes to the software TPM and to swtpm: the same response code, and the same shape of response. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  commandName,
  describeResponseCode,
  EK_PROFILES,
  marshalCommand,
  TPM_RH,
  TPM2_Create,
  TPM2_CreatePrimary,
  TPM2_GetCapability,
  TPM2_NV_DefineSpace,
  TPM2_NV_Read,
  TPM2_NV_ReadPublic,
  TPM2_NV_Write,
  TPM2_PCR_Event,
  TPM2_PCR_Extend,
  TPM2_PCR_Read,
  TPM2_PCR_Reset,
  TPM2_PolicyGetDigest,
  TPM2_PolicyOR,
  TPM2_PolicyPCR,
  TPM2_Quote,
  TPM2_ReadPublic,
  TPM2_StartAuthSession,
  TPM2_Startup,
  TPM2_Unseal,
  type TPMS_AUTH_COMMAND,
  type TPMT_PUBLIC,
} from '../../src/tpm/index.ts';
import { manufactureSwtpm, openTpm, SoftwareTpm, Swtpm } from '../../src/vtpm/index.ts';
import { requires } from './requirements.ts';

const NONE = new Uint8Array(0);
const password = (text = ''): TPMS_AUTH_COMMAND => ({
  sessionHandle: TPM_RH.PW,
  nonce: NONE,
  sessionAttributes: { continueSession: true },
  hmac: Buffer.from(text),
});
const PASSWORD = [password()];
const { template } = EK_PROFILES.p256;
const STORAGE: TPMT_PUBLIC = {
  ...template,
  objectAttributes: { ...template.objectAttributes, adminWithPolicy: false, userWithAuth: true },
  authPolicy: NONE,
};
const CREATION = { inSensitive: { userAuth: NONE, data: NONE }, outsideInfo: NONE, creationPCR: [] } as const;
const primary = (inPublic: TPMT_PUBLIC, auth = PASSWORD) =>
  marshalCommand(TPM2_CreatePrimary, { primaryHandle: TPM_RH.OWNER, inPublic, ...CREATION }, auth);
const changed = (attributes: TPMT_PUBLIC['objectAttributes']): TPMT_PUBLIC => ({
  ...STORAGE,
  objectAttributes: { ...STORAGE.objectAttributes, ...attributes },
});

const NV = 0x01500001;
const publicInfo = {
  nvIndex: NV,
  nameAlg: 'sha256',
  attributes: { ownerread: true, ownerwrite: true, authread: true },
  authPolicy: NONE,
  dataSize: 8,
} as const;
const define = (info: object) =>
  marshalCommand(
    TPM2_NV_DefineSpace,
    { authHandle: TPM_RH.OWNER, auth: NONE, publicInfo: { ...publicInfo, ...info } },
    PASSWORD,
  );
const nv = { authHandle: TPM_RH.OWNER, nvIndex: NV } as const;
const POLICY_SESSION = 0x03000000;
const startPolicy = {
  tpmKey: TPM_RH.NULL,
  bind: TPM_RH.NULL,
  nonceCaller: Buffer.alloc(32, 1),
  encryptedSalt: NONE,
  sessionType: 'policy',
  symmetric: { algorithm: 'null' },
  authHash: 'sha256',
} as const;
const pcrs = [{ hash: 'sha256', pcrs: [0, 16] }] as const;
const quote = { signHandle: 0x80000000, qualifyingData: NONE, inScheme: { scheme: 'null' }, PCRselect: pcrs } as const;
const extend = (pcrHandle: number) =>
  ({ pcrHandle, digests: [{ hashAlg: 'sha256', digest: Buffer.alloc(32) }] }) as const;

/**
 * A wrong tag is left out: libtpms 0.9 answers TPM_RC_VALUE to some, Part 3, 5.2 says TPM_RC_BAD_TAG.
 * In order: what succeeds builds the state that the next meet.
 */
const COMMANDS: readonly Uint8Array[] = [
  Buffer.from('80010000000b00000144', 'hex'),
  Buffer.from('80010000000a0000ffff', 'hex'),
  Buffer.from('80010000000a0000017b', 'hex'),
  Buffer.from('80010000000d0000017b000800', 'hex'),
  Buffer.from('800100000016000001 7a000000ff0000000000000001'.replace(' ', ''), 'hex'),
  marshalCommand(TPM2_Startup, { startupType: 'clear' }),
  // Up to DRTM_RESET: libtpms has PCRs with policies and authorization values of their own, which are optional
  marshalCommand(TPM2_GetCapability, { capability: 'pcr_properties', property: 0, propertyCount: 13 }),
  marshalCommand(TPM2_GetCapability, { capability: 'pcrs', property: 0, propertyCount: 64 }),
  marshalCommand(TPM2_GetCapability, { capability: 'handles', property: 0x40000000, propertyCount: 64 }),
  marshalCommand(TPM2_GetCapability, { capability: 'handles', property: 0, propertyCount: 5 }),
  marshalCommand(TPM2_GetCapability, { capability: 'handles', property: 0x7f000000, propertyCount: 5 }),
  marshalCommand(TPM2_GetCapability, { capability: 'handles', property: 0x80000000, propertyCount: 5 }),
  marshalCommand(TPM2_PCR_Extend, extend(16), PASSWORD),
  marshalCommand(TPM2_PCR_Extend, extend(18), PASSWORD),
  marshalCommand(TPM2_PCR_Extend, extend(16)),
  marshalCommand(TPM2_PCR_Extend, extend(16), [password('wrong')]),
  marshalCommand(TPM2_PCR_Event, { pcrHandle: 16, eventData: Buffer.from('event') }, PASSWORD),
  marshalCommand(TPM2_PCR_Read, { pcrSelectionIn: [{ hash: 'sha384', pcrs: [0, 1, 2, 3, 4, 5, 6, 7, 16, 17] }] }),
  marshalCommand(TPM2_PCR_Reset, { pcrHandle: 0 }, PASSWORD),
  marshalCommand(TPM2_PCR_Reset, { pcrHandle: 23 }, PASSWORD),
  marshalCommand(TPM2_ReadPublic, { objectHandle: 0x80000000 }),
  marshalCommand(TPM2_ReadPublic, { objectHandle: 0x81010101 }),
  primary(STORAGE, []),
  primary(STORAGE, [password('wrong')]),
  primary(changed({ sign: true })),
  primary(changed({ decrypt: false })),
  primary(changed({ fixedTPM: false })),
  primary(changed({ sensitiveDataOrigin: false })),
  primary({ ...STORAGE, authPolicy: Buffer.alloc(5) }),
  primary(STORAGE),
  marshalCommand(TPM2_ReadPublic, { objectHandle: 0x80000000 }),
  marshalCommand(TPM2_Quote, quote, PASSWORD),
  marshalCommand(TPM2_Unseal, { itemHandle: 0x80000000 }, PASSWORD),
  marshalCommand(
    TPM2_Create,
    { parentHandle: 0x80000000, inPublic: changed({ fixedTPM: false }), ...CREATION },
    PASSWORD,
  ),
  marshalCommand(TPM2_Create, { parentHandle: 0x80000000, inPublic: STORAGE, ...CREATION }, PASSWORD),
  define({ dataSize: 4000 }),
  define({ attributes: { ownerread: true } }),
  define({ attributes: { ...publicInfo.attributes, written: true } }),
  define({ attributes: { ...publicInfo.attributes, platformcreate: true } }),
  define({ attributes: { ...publicInfo.attributes, nt: 1 }, dataSize: 4 }),
  define({}),
  define({}),
  marshalCommand(TPM2_NV_ReadPublic, { nvIndex: NV }),
  marshalCommand(TPM2_NV_ReadPublic, { nvIndex: NV + 1 }),
  marshalCommand(TPM2_NV_Read, { ...nv, size: 8, offset: 0 }, PASSWORD),
  marshalCommand(TPM2_NV_Write, { ...nv, data: Buffer.alloc(9), offset: 0 }, PASSWORD),
  marshalCommand(TPM2_NV_Write, { ...nv, data: Buffer.alloc(4), offset: 6 }, PASSWORD),
  marshalCommand(TPM2_NV_Write, { ...nv, data: Buffer.alloc(8, 5), offset: 0 }, PASSWORD),
  marshalCommand(TPM2_NV_Read, { ...nv, size: 9, offset: 0 }, PASSWORD),
  marshalCommand(TPM2_NV_Read, { ...nv, size: 8, offset: 0 }, PASSWORD),
  marshalCommand(TPM2_NV_Read, { authHandle: NV, nvIndex: NV, size: 8, offset: 0 }, [password('wrong')]),
  marshalCommand(TPM2_NV_ReadPublic, { nvIndex: NV }),
  marshalCommand(TPM2_StartAuthSession, { ...startPolicy, nonceCaller: Buffer.alloc(8) }),
  marshalCommand(TPM2_StartAuthSession, { ...startPolicy, encryptedSalt: Buffer.alloc(8) }),
  marshalCommand(TPM2_StartAuthSession, startPolicy),
  marshalCommand(TPM2_PolicyPCR, { policySession: POLICY_SESSION, pcrDigest: Buffer.alloc(32), pcrs }),
  marshalCommand(TPM2_PolicyPCR, { policySession: POLICY_SESSION, pcrDigest: NONE, pcrs }),
  marshalCommand(TPM2_PolicyOR, { policySession: POLICY_SESSION, pHashList: [Buffer.alloc(32), Buffer.alloc(32)] }),
  marshalCommand(TPM2_PolicyGetDigest, { policySession: POLICY_SESSION }),
  marshalCommand(TPM2_PolicyGetDigest, { policySession: POLICY_SESSION + 1 }),
];

/** Commands whose whole response both TPMs must give alike: nothing in them is random or the maker's. */
const EQUAL = new Set([
  'TPM2_PCR_Read',
  'TPM2_PCR_Event',
  'TPM2_NV_Read',
  'TPM2_NV_ReadPublic',
  'TPM2_PolicyGetDigest',
  'TPM2_GetCapability',
]);

test('the software TPM answers as swtpm does', requires('swtpm', 'swtpm_setup'), async () => {
  const folder = await mkdtemp(join(tmpdir(), 'assay-differential-'));
  try {
    const banks = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
    const made = await manufactureSwtpm({
      state: join(folder, 'state'),
      authority: join(folder, 'ca'),
      banks,
      vmId: 'peer',
    });
    const data = { path: join(folder, 'socket') };
    await using swtpm = await Swtpm.start({ state: made.state, control: join(folder, 'ctrl'), data });
    const { tpm: peer } = await openTpm(swtpm.address);
    const ours = SoftwareTpm.manufacture({ pcrBanks: banks });
    // The supervisor may have started its TPM: begin both alike
    const startup = marshalCommand(TPM2_Startup, { startupType: 'clear' });
    ours.execute(startup);
    await peer.transmit(startup);
    const differences: string[] = [];
    for (const command of COMMANDS) {
      const name = commandName(Buffer.from(command).readUInt32BE(6));
      const [a, b] = [Buffer.from(ours.execute(command)), Buffer.from(await peer.transmit(command))];
      const [ourRc, peerRc] = [a.readUInt32BE(6), b.readUInt32BE(6)];
      const hex = Buffer.from(command).toString('hex').slice(0, 80);
      if (ourRc !== peerRc)
        differences.push(`${name}: ${describeResponseCode(ourRc)} | swtpm ${describeResponseCode(peerRc)} | ${hex}`);
      else if (a.length !== b.length && EQUAL.has(name))
        differences.push(`${name}: ${a.toString('hex')} | swtpm ${b.toString('hex')}`);
      else if (EQUAL.has(name) && !a.equals(b) && name !== 'TPM2_PCR_Read')
        differences.push(`${name}: ${a.toString('hex')} | swtpm ${b.toString('hex')}`);
    }
    assert.deepEqual(differences, []);
    await peer.close();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
