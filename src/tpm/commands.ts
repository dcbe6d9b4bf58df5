/** The commands: TPM 2.0 Part 3. Fields carry the specification's names and order; `auth` is its `@`. */
import { int32, uint16, uint32, uint64 } from './codec.ts';
import { command } from './command.ts';
import {
  TPM_CAP,
  TPM_CC_NUMBER,
  TPM_EO,
  TPM_HANDLE,
  TPM_SE,
  TPM_SU,
  TPM2B_ATTEST,
  TPM2B_AUTH,
  TPM2B_CREATION_DATA,
  TPM2B_DATA,
  TPM2B_DIGEST,
  TPM2B_ECC_POINT,
  TPM2B_ENCRYPTED_SECRET,
  TPM2B_EVENT,
  TPM2B_ID_OBJECT,
  TPM2B_MAX_BUFFER,
  TPM2B_MAX_NV_BUFFER,
  TPM2B_NAME,
  TPM2B_NONCE,
  TPM2B_NV_PUBLIC,
  TPM2B_OPERAND,
  TPM2B_PRIVATE,
  TPM2B_PUBLIC,
  TPM2B_PUBLIC_KEY_RSA,
  TPM2B_SENSITIVE,
  TPM2B_SENSITIVE_CREATE,
  TPM2B_SENSITIVE_DATA,
  TPM2B_TEMPLATE,
  TPM2B_TIMEOUT,
  TPMA_LOCALITY,
  TPMI_ALG_HASH,
  TPMI_ALG_HASH_NULL,
  TPMI_DH_CONTEXT,
  TPMI_DH_ENTITY,
  TPMI_DH_ENTITY_NULL,
  TPMI_DH_OBJECT,
  TPMI_DH_OBJECT_NULL,
  TPMI_DH_PARENT,
  TPMI_DH_PCR,
  TPMI_DH_PCR_NULL,
  TPMI_DH_PERSISTENT,
  TPMI_RH_CLEAR,
  TPMI_RH_ENABLES,
  TPMI_RH_ENDORSEMENT,
  TPMI_RH_HIERARCHY,
  TPMI_RH_HIERARCHY_AUTH,
  TPMI_RH_LOCKOUT,
  TPMI_RH_NV_AUTH,
  TPMI_RH_NV_INDEX,
  TPMI_RH_PLATFORM,
  TPMI_RH_PROVISION,
  TPMI_SH_POLICY,
  TPMI_YES_NO,
  TPML_ALG,
  TPML_DIGEST,
  TPML_DIGEST_VALUES,
  TPML_PCR_SELECTION,
  TPMS_CAPABILITY_DATA,
  TPMS_CONTEXT,
  TPMS_TIME_INFO,
  TPMT_RSA_DECRYPT,
  TPMT_SIG_SCHEME,
  TPMT_SIGNATURE,
  TPMT_SYM_DEF,
  TPMT_SYM_DEF_OBJECT,
  TPMT_TK_AUTH,
  TPMT_TK_CREATION,
  TPMT_TK_HASHCHECK,
  TPMT_TK_VERIFIED,
} from './structures.ts';

// --- Start-up and self-test (Part 3, 9 and 10) ---

export const TPM2_Startup = command({
  name: 'TPM2_Startup',
  code: 0x144,
  part3: '9.3',
  parameters: { startupType: TPM_SU },
});
export const TPM2_Shutdown = command({
  name: 'TPM2_Shutdown',
  code: 0x145,
  part3: '9.4',
  parameters: { shutdownType: TPM_SU },
});
export const TPM2_SelfTest = command({
  name: 'TPM2_SelfTest',
  code: 0x143,
  part3: '10.2',
  parameters: { fullTest: TPMI_YES_NO },
});
export const TPM2_IncrementalSelfTest = command({
  name: 'TPM2_IncrementalSelfTest',
  code: 0x142,
  part3: '10.3',
  parameters: { toTest: TPML_ALG },
  response: { parameters: { toDoList: TPML_ALG } },
});
export const TPM2_GetTestResult = command({
  name: 'TPM2_GetTestResult',
  code: 0x17c,
  part3: '10.4',
  response: { parameters: { outData: TPM2B_MAX_BUFFER, testResult: uint32 } },
});

// --- Sessions (11) ---

export const TPM2_StartAuthSession = command({
  name: 'TPM2_StartAuthSession',
  code: 0x176,
  part3: '11.1',
  handles: { tpmKey: { type: TPMI_DH_OBJECT_NULL }, bind: { type: TPMI_DH_ENTITY_NULL } },
  parameters: {
    nonceCaller: TPM2B_NONCE,
    encryptedSalt: TPM2B_ENCRYPTED_SECRET,
    sessionType: TPM_SE,
    symmetric: TPMT_SYM_DEF,
    authHash: TPMI_ALG_HASH,
  },
  response: { handles: { sessionHandle: TPM_HANDLE }, parameters: { nonceTPM: TPM2B_NONCE } },
});
export const TPM2_PolicyRestart = command({
  name: 'TPM2_PolicyRestart',
  code: 0x180,
  part3: '11.2',
  handles: { sessionHandle: { type: TPMI_SH_POLICY } },
});

// --- Objects (12) ---

export const TPM2_Create = command({
  name: 'TPM2_Create',
  code: 0x153,
  part3: '12.1',
  handles: { parentHandle: { type: TPMI_DH_OBJECT, auth: 'user' } },
  parameters: {
    inSensitive: TPM2B_SENSITIVE_CREATE,
    inPublic: TPM2B_PUBLIC,
    outsideInfo: TPM2B_DATA,
    creationPCR: TPML_PCR_SELECTION,
  },
  response: {
    parameters: {
      outPrivate: TPM2B_PRIVATE,
      outPublic: TPM2B_PUBLIC,
      creationData: TPM2B_CREATION_DATA,
      creationHash: TPM2B_DIGEST,
      creationTicket: TPMT_TK_CREATION,
    },
  },
});
export const TPM2_Load = command({
  name: 'TPM2_Load',
  code: 0x157,
  part3: '12.2',
  handles: { parentHandle: { type: TPMI_DH_OBJECT, auth: 'user' } },
  parameters: { inPrivate: TPM2B_PRIVATE, inPublic: TPM2B_PUBLIC },
  response: { handles: { objectHandle: TPM_HANDLE }, parameters: { name: TPM2B_NAME } },
});
export const TPM2_LoadExternal = command({
  name: 'TPM2_LoadExternal',
  code: 0x167,
  part3: '12.3',
  parameters: { inPrivate: TPM2B_SENSITIVE, inPublic: TPM2B_PUBLIC, hierarchy: TPMI_RH_HIERARCHY },
  response: { handles: { objectHandle: TPM_HANDLE }, parameters: { name: TPM2B_NAME } },
});
export const TPM2_ReadPublic = command({
  name: 'TPM2_ReadPublic',
  code: 0x173,
  part3: '12.4',
  handles: { objectHandle: { type: TPMI_DH_OBJECT } },
  response: { parameters: { outPublic: TPM2B_PUBLIC, name: TPM2B_NAME, qualifiedName: TPM2B_NAME } },
});
export const TPM2_ActivateCredential = command({
  name: 'TPM2_ActivateCredential',
  code: 0x147,
  part3: '12.5',
  handles: {
    activateHandle: { type: TPMI_DH_OBJECT, auth: 'admin' },
    keyHandle: { type: TPMI_DH_OBJECT, auth: 'user' },
  },
  parameters: { credentialBlob: TPM2B_ID_OBJECT, secret: TPM2B_ENCRYPTED_SECRET },
  response: { parameters: { certInfo: TPM2B_DIGEST } },
});
export const TPM2_MakeCredential = command({
  name: 'TPM2_MakeCredential',
  code: 0x168,
  part3: '12.6',
  handles: { handle: { type: TPMI_DH_OBJECT } },
  parameters: { credential: TPM2B_DIGEST, objectName: TPM2B_NAME },
  response: { parameters: { credentialBlob: TPM2B_ID_OBJECT, secret: TPM2B_ENCRYPTED_SECRET } },
});
export const TPM2_Unseal = command({
  name: 'TPM2_Unseal',
  code: 0x15e,
  part3: '12.7',
  handles: { itemHandle: { type: TPMI_DH_OBJECT, auth: 'user' } },
  response: { parameters: { outData: TPM2B_SENSITIVE_DATA } },
});
export const TPM2_ObjectChangeAuth = command({
  name: 'TPM2_ObjectChangeAuth',
  code: 0x150,
  part3: '12.8',
  handles: { objectHandle: { type: TPMI_DH_OBJECT, auth: 'admin' }, parentHandle: { type: TPMI_DH_OBJECT } },
  parameters: { newAuth: TPM2B_AUTH },
  response: { parameters: { outPrivate: TPM2B_PRIVATE } },
});
export const TPM2_CreateLoaded = command({
  name: 'TPM2_CreateLoaded',
  code: 0x191,
  part3: '12.9',
  handles: { parentHandle: { type: TPMI_DH_PARENT, auth: 'user' } },
  parameters: { inSensitive: TPM2B_SENSITIVE_CREATE, inPublic: TPM2B_TEMPLATE },
  response: {
    handles: { objectHandle: TPM_HANDLE },
    parameters: { outPrivate: TPM2B_PRIVATE, outPublic: TPM2B_PUBLIC, name: TPM2B_NAME },
  },
});

// --- Duplication (13) ---

export const TPM2_Duplicate = command({
  name: 'TPM2_Duplicate',
  code: 0x14b,
  part3: '13.1',
  handles: { objectHandle: { type: TPMI_DH_OBJECT, auth: 'dup' }, newParentHandle: { type: TPMI_DH_OBJECT_NULL } },
  parameters: { encryptionKeyIn: TPM2B_DATA, symmetricAlg: TPMT_SYM_DEF_OBJECT },
  response: {
    parameters: { encryptionKeyOut: TPM2B_DATA, duplicate: TPM2B_PRIVATE, outSymSeed: TPM2B_ENCRYPTED_SECRET },
  },
});
export const TPM2_Import = command({
  name: 'TPM2_Import',
  code: 0x156,
  part3: '13.3',
  handles: { parentHandle: { type: TPMI_DH_OBJECT, auth: 'user' } },
  parameters: {
    encryptionKey: TPM2B_DATA,
    objectPublic: TPM2B_PUBLIC,
    duplicate: TPM2B_PRIVATE,
    inSymSeed: TPM2B_ENCRYPTED_SECRET,
    symmetricAlg: TPMT_SYM_DEF_OBJECT,
  },
  response: { parameters: { outPrivate: TPM2B_PRIVATE } },
});

// --- Asymmetric primitives (14), hashes (15, 17) and random numbers (16) ---

export const TPM2_RSA_Encrypt = command({
  name: 'TPM2_RSA_Encrypt',
  code: 0x174,
  part3: '14.2',
  handles: { keyHandle: { type: TPMI_DH_OBJECT } },
  parameters: { message: TPM2B_PUBLIC_KEY_RSA, inScheme: TPMT_RSA_DECRYPT, label: TPM2B_DATA },
  response: { parameters: { outData: TPM2B_PUBLIC_KEY_RSA } },
});
export const TPM2_RSA_Decrypt = command({
  name: 'TPM2_RSA_Decrypt',
  code: 0x159,
  part3: '14.3',
  handles: { keyHandle: { type: TPMI_DH_OBJECT, auth: 'user' } },
  parameters: { cipherText: TPM2B_PUBLIC_KEY_RSA, inScheme: TPMT_RSA_DECRYPT, label: TPM2B_DATA },
  response: { parameters: { message: TPM2B_PUBLIC_KEY_RSA } },
});
export const TPM2_ECDH_KeyGen = command({
  name: 'TPM2_ECDH_KeyGen',
  code: 0x163,
  part3: '14.4',
  handles: { keyHandle: { type: TPMI_DH_OBJECT } },
  response: { parameters: { zPoint: TPM2B_ECC_POINT, pubPoint: TPM2B_ECC_POINT } },
});
export const TPM2_ECDH_ZGen = command({
  name: 'TPM2_ECDH_ZGen',
  code: 0x154,
  part3: '14.5',
  handles: { keyHandle: { type: TPMI_DH_OBJECT, auth: 'user' } },
  parameters: { inPoint: TPM2B_ECC_POINT },
  response: { parameters: { outPoint: TPM2B_ECC_POINT } },
});
export const TPM2_Hash = command({
  name: 'TPM2_Hash',
  code: 0x17d,
  part3: '15.4',
  parameters: { data: TPM2B_MAX_BUFFER, hashAlg: TPMI_ALG_HASH, hierarchy: TPMI_RH_HIERARCHY },
  response: { parameters: { outHash: TPM2B_DIGEST, validation: TPMT_TK_HASHCHECK } },
});
export const TPM2_HMAC = command({
  name: 'TPM2_HMAC',
  code: 0x155,
  part3: '15.5',
  handles: { handle: { type: TPMI_DH_OBJECT, auth: 'user' } },
  parameters: { buffer: TPM2B_MAX_BUFFER, hashAlg: TPMI_ALG_HASH_NULL },
  response: { parameters: { outHMAC: TPM2B_DIGEST } },
});
export const TPM2_GetRandom = command({
  name: 'TPM2_GetRandom',
  code: 0x17b,
  part3: '16.1',
  parameters: { bytesRequested: uint16 },
  response: { parameters: { randomBytes: TPM2B_DIGEST } },
});
export const TPM2_StirRandom = command({
  name: 'TPM2_StirRandom',
  code: 0x146,
  part3: '16.2',
  parameters: { inData: TPM2B_SENSITIVE_DATA },
});
export const TPM2_HMAC_Start = command({
  name: 'TPM2_HMAC_Start',
  code: 0x15b,
  part3: '17.2',
  handles: { handle: { type: TPMI_DH_OBJECT, auth: 'user' } },
  parameters: { auth: TPM2B_AUTH, hashAlg: TPMI_ALG_HASH_NULL },
  response: { handles: { sequenceHandle: TPM_HANDLE } },
});
export const TPM2_HashSequenceStart = command({
  name: 'TPM2_HashSequenceStart',
  code: 0x186,
  part3: '17.4',
  parameters: { auth: TPM2B_AUTH, hashAlg: TPMI_ALG_HASH_NULL },
  response: { handles: { sequenceHandle: TPM_HANDLE } },
});
export const TPM2_SequenceUpdate = command({
  name: 'TPM2_SequenceUpdate',
  code: 0x15c,
  part3: '17.5',
  handles: { sequenceHandle: { type: TPMI_DH_OBJECT, auth: 'user' } },
  parameters: { buffer: TPM2B_MAX_BUFFER },
});
export const TPM2_SequenceComplete = command({
  name: 'TPM2_SequenceComplete',
  code: 0x13e,
  part3: '17.6',
  handles: { sequenceHandle: { type: TPMI_DH_OBJECT, auth: 'user' } },
  parameters: { buffer: TPM2B_MAX_BUFFER, hierarchy: TPMI_RH_HIERARCHY },
  response: { parameters: { result: TPM2B_DIGEST, validation: TPMT_TK_HASHCHECK } },
});
export const TPM2_EventSequenceComplete = command({
  name: 'TPM2_EventSequenceComplete',
  code: 0x185,
  part3: '17.7',
  handles: {
    pcrHandle: { type: TPMI_DH_PCR_NULL, auth: 'user' },
    sequenceHandle: { type: TPMI_DH_OBJECT, auth: 'user' },
  },
  parameters: { buffer: TPM2B_MAX_BUFFER },
  response: { parameters: { results: TPML_DIGEST_VALUES } },
});

// --- Attestation (18) and signatures (20) ---

export const TPM2_Certify = command({
  name: 'TPM2_Certify',
  code: 0x148,
  part3: '18.2',
  handles: {
    objectHandle: { type: TPMI_DH_OBJECT, auth: 'admin' },
    signHandle: { type: TPMI_DH_OBJECT_NULL, auth: 'user' },
  },
  parameters: { qualifyingData: TPM2B_DATA, inScheme: TPMT_SIG_SCHEME },
  response: { parameters: { certifyInfo: TPM2B_ATTEST, signature: TPMT_SIGNATURE } },
});
export const TPM2_CertifyCreation = command({
  name: 'TPM2_CertifyCreation',
  code: 0x14a,
  part3: '18.3',
  handles: { signHandle: { type: TPMI_DH_OBJECT_NULL, auth: 'user' }, objectHandle: { type: TPMI_DH_OBJECT } },
  parameters: {
    qualifyingData: TPM2B_DATA,
    creationHash: TPM2B_DIGEST,
    inScheme: TPMT_SIG_SCHEME,
    creationTicket: TPMT_TK_CREATION,
  },
  response: { parameters: { certifyInfo: TPM2B_ATTEST, signature: TPMT_SIGNATURE } },
});
export const TPM2_Quote = command({
  name: 'TPM2_Quote',
  code: 0x158,
  part3: '18.4',
  handles: { signHandle: { type: TPMI_DH_OBJECT_NULL, auth: 'user' } },
  parameters: { qualifyingData: TPM2B_DATA, inScheme: TPMT_SIG_SCHEME, PCRselect: TPML_PCR_SELECTION },
  response: { parameters: { quoted: TPM2B_ATTEST, signature: TPMT_SIGNATURE } },
});
export const TPM2_GetTime = command({
  name: 'TPM2_GetTime',
  code: 0x14c,
  part3: '18.7',
  handles: {
    privacyAdminHandle: { type: TPMI_RH_ENDORSEMENT, auth: 'user' },
    signHandle: { type: TPMI_DH_OBJECT_NULL, auth: 'user' },
  },
  parameters: { qualifyingData: TPM2B_DATA, inScheme: TPMT_SIG_SCHEME },
  response: { parameters: { timeInfo: TPM2B_ATTEST, signature: TPMT_SIGNATURE } },
});
export const TPM2_VerifySignature = command({
  name: 'TPM2_VerifySignature',
  code: 0x177,
  part3: '20.1',
  handles: { keyHandle: { type: TPMI_DH_OBJECT } },
  parameters: { digest: TPM2B_DIGEST, signature: TPMT_SIGNATURE },
  response: { parameters: { validation: TPMT_TK_VERIFIED } },
});
export const TPM2_Sign = command({
  name: 'TPM2_Sign',
  code: 0x15d,
  part3: '20.2',
  handles: { keyHandle: { type: TPMI_DH_OBJECT, auth: 'user' } },
  parameters: { digest: TPM2B_DIGEST, inScheme: TPMT_SIG_SCHEME, validation: TPMT_TK_HASHCHECK },
  response: { parameters: { signature: TPMT_SIGNATURE } },
});

// --- Platform configuration registers (22) ---

export const TPM2_PCR_Extend = command({
  name: 'TPM2_PCR_Extend',
  code: 0x182,
  part3: '22.2',
  handles: { pcrHandle: { type: TPMI_DH_PCR_NULL, auth: 'user' } },
  parameters: { digests: TPML_DIGEST_VALUES },
});
export const TPM2_PCR_Event = command({
  name: 'TPM2_PCR_Event',
  code: 0x13c,
  part3: '22.3',
  handles: { pcrHandle: { type: TPMI_DH_PCR_NULL, auth: 'user' } },
  parameters: { eventData: TPM2B_EVENT },
  response: { parameters: { digests: TPML_DIGEST_VALUES } },
});
export const TPM2_PCR_Read = command({
  name: 'TPM2_PCR_Read',
  code: 0x17e,
  part3: '22.4',
  parameters: { pcrSelectionIn: TPML_PCR_SELECTION },
  response: { parameters: { pcrUpdateCounter: uint32, pcrSelectionOut: TPML_PCR_SELECTION, pcrValues: TPML_DIGEST } },
});
export const TPM2_PCR_Allocate = command({
  name: 'TPM2_PCR_Allocate',
  code: 0x12b,
  part3: '22.5',
  handles: { authHandle: { type: TPMI_RH_PLATFORM, auth: 'user' } },
  parameters: { pcrAllocation: TPML_PCR_SELECTION },
  response: {
    parameters: { allocationSuccess: TPMI_YES_NO, maxPCR: uint32, sizeNeeded: uint32, sizeAvailable: uint32 },
  },
});
export const TPM2_PCR_Reset = command({
  name: 'TPM2_PCR_Reset',
  code: 0x13d,
  part3: '22.8',
  handles: { pcrHandle: { type: TPMI_DH_PCR, auth: 'user' } },
});

// --- Policies (23) ---

export const TPM2_PolicySigned = command({
  name: 'TPM2_PolicySigned',
  code: 0x160,
  part3: '23.3',
  handles: { authObject: { type: TPMI_DH_OBJECT }, policySession: { type: TPMI_SH_POLICY } },
  parameters: {
    nonceTPM: TPM2B_NONCE,
    cpHashA: TPM2B_DIGEST,
    policyRef: TPM2B_NONCE,
    expiration: int32,
    auth: TPMT_SIGNATURE,
  },
  response: { parameters: { timeout: TPM2B_TIMEOUT, policyTicket: TPMT_TK_AUTH } },
});
export const TPM2_PolicySecret = command({
  name: 'TPM2_PolicySecret',
  code: 0x151,
  part3: '23.4',
  handles: { authHandle: { type: TPMI_DH_ENTITY, auth: 'user' }, policySession: { type: TPMI_SH_POLICY } },
  parameters: { nonceTPM: TPM2B_NONCE, cpHashA: TPM2B_DIGEST, policyRef: TPM2B_NONCE, expiration: int32 },
  response: { parameters: { timeout: TPM2B_TIMEOUT, policyTicket: TPMT_TK_AUTH } },
});
export const TPM2_PolicyOR = command({
  name: 'TPM2_PolicyOR',
  code: 0x171,
  part3: '23.6',
  handles: { policySession: { type: TPMI_SH_POLICY } },
  parameters: { pHashList: TPML_DIGEST },
});
export const TPM2_PolicyPCR = command({
  name: 'TPM2_PolicyPCR',
  code: 0x17f,
  part3: '23.7',
  handles: { policySession: { type: TPMI_SH_POLICY } },
  parameters: { pcrDigest: TPM2B_DIGEST, pcrs: TPML_PCR_SELECTION },
});
export const TPM2_PolicyLocality = command({
  name: 'TPM2_PolicyLocality',
  code: 0x16f,
  part3: '23.8',
  handles: { policySession: { type: TPMI_SH_POLICY } },
  parameters: { locality: TPMA_LOCALITY },
});
export const TPM2_PolicyNV = command({
  name: 'TPM2_PolicyNV',
  code: 0x149,
  part3: '23.9',
  handles: {
    authHandle: { type: TPMI_RH_NV_AUTH, auth: 'user' },
    nvIndex: { type: TPMI_RH_NV_INDEX },
    policySession: { type: TPMI_SH_POLICY },
  },
  parameters: { operandB: TPM2B_OPERAND, offset: uint16, operation: TPM_EO },
});
export const TPM2_PolicyCommandCode = command({
  name: 'TPM2_PolicyCommandCode',
  code: 0x16c,
  part3: '23.11',
  handles: { policySession: { type: TPMI_SH_POLICY } },
  parameters: { code: TPM_CC_NUMBER },
});
export const TPM2_PolicyCpHash = command({
  name: 'TPM2_PolicyCpHash',
  code: 0x16e,
  part3: '23.13',
  handles: { policySession: { type: TPMI_SH_POLICY } },
  parameters: { cpHashA: TPM2B_DIGEST },
});
export const TPM2_PolicyNameHash = command({
  name: 'TPM2_PolicyNameHash',
  code: 0x170,
  part3: '23.14',
  handles: { policySession: { type: TPMI_SH_POLICY } },
  parameters: { nameHash: TPM2B_DIGEST },
});
export const TPM2_PolicyDuplicationSelect = command({
  name: 'TPM2_PolicyDuplicationSelect',
  code: 0x188,
  part3: '23.15',
  handles: { policySession: { type: TPMI_SH_POLICY } },
  parameters: { objectName: TPM2B_NAME, newParentName: TPM2B_NAME, includeObject: TPMI_YES_NO },
});
export const TPM2_PolicyAuthorize = command({
  name: 'TPM2_PolicyAuthorize',
  code: 0x16a,
  part3: '23.16',
  handles: { policySession: { type: TPMI_SH_POLICY } },
  parameters: {
    approvedPolicy: TPM2B_DIGEST,
    policyRef: TPM2B_NONCE,
    keySign: TPM2B_NAME,
    checkTicket: TPMT_TK_VERIFIED,
  },
});
export const TPM2_PolicyAuthValue = command({
  name: 'TPM2_PolicyAuthValue',
  code: 0x16b,
  part3: '23.17',
  handles: { policySession: { type: TPMI_SH_POLICY } },
});
export const TPM2_PolicyPassword = command({
  name: 'TPM2_PolicyPassword',
  code: 0x18c,
  part3: '23.18',
  handles: { policySession: { type: TPMI_SH_POLICY } },
});
export const TPM2_PolicyGetDigest = command({
  name: 'TPM2_PolicyGetDigest',
  code: 0x189,
  part3: '23.19',
  handles: { policySession: { type: TPMI_SH_POLICY } },
  response: { parameters: { policyDigest: TPM2B_DIGEST } },
});
export const TPM2_PolicyNvWritten = command({
  name: 'TPM2_PolicyNvWritten',
  code: 0x18f,
  part3: '23.20',
  handles: { policySession: { type: TPMI_SH_POLICY } },
  parameters: { writtenSet: TPMI_YES_NO },
});
export const TPM2_PolicyTemplate = command({
  name: 'TPM2_PolicyTemplate',
  code: 0x190,
  part3: '23.21',
  handles: { policySession: { type: TPMI_SH_POLICY } },
  parameters: { templateHash: TPM2B_DIGEST },
});
export const TPM2_PolicyAuthorizeNV = command({
  name: 'TPM2_PolicyAuthorizeNV',
  code: 0x192,
  part3: '23.22',
  handles: {
    authHandle: { type: TPMI_RH_NV_AUTH, auth: 'user' },
    nvIndex: { type: TPMI_RH_NV_INDEX },
    policySession: { type: TPMI_SH_POLICY },
  },
});

// --- Hierarchies (24) and dictionary attack protection (25) ---

export const TPM2_CreatePrimary = command({
  name: 'TPM2_CreatePrimary',
  code: 0x131,
  part3: '24.1',
  handles: { primaryHandle: { type: TPMI_RH_HIERARCHY, auth: 'user' } },
  parameters: {
    inSensitive: TPM2B_SENSITIVE_CREATE,
    inPublic: TPM2B_PUBLIC,
    outsideInfo: TPM2B_DATA,
    creationPCR: TPML_PCR_SELECTION,
  },
  response: {
    handles: { objectHandle: TPM_HANDLE },
    parameters: {
      outPublic: TPM2B_PUBLIC,
      creationData: TPM2B_CREATION_DATA,
      creationHash: TPM2B_DIGEST,
      creationTicket: TPMT_TK_CREATION,
      name: TPM2B_NAME,
    },
  },
});
export const TPM2_HierarchyControl = command({
  name: 'TPM2_HierarchyControl',
  code: 0x121,
  part3: '24.2',
  handles: { authHandle: { type: TPMI_RH_HIERARCHY, auth: 'user' } },
  parameters: { enable: TPMI_RH_ENABLES, state: TPMI_YES_NO },
});
export const TPM2_Clear = command({
  name: 'TPM2_Clear',
  code: 0x126,
  part3: '24.6',
  handles: { authHandle: { type: TPMI_RH_CLEAR, auth: 'user' } },
});
export const TPM2_ClearControl = command({
  name: 'TPM2_ClearControl',
  code: 0x127,
  part3: '24.7',
  handles: { auth: { type: TPMI_RH_CLEAR, auth: 'user' } },
  parameters: { disable: TPMI_YES_NO },
});
export const TPM2_HierarchyChangeAuth = command({
  name: 'TPM2_HierarchyChangeAuth',
  code: 0x129,
  part3: '24.8',
  handles: { authHandle: { type: TPMI_RH_HIERARCHY_AUTH, auth: 'user' } },
  parameters: { newAuth: TPM2B_AUTH },
});
export const TPM2_DictionaryAttackLockReset = command({
  name: 'TPM2_DictionaryAttackLockReset',
  code: 0x139,
  part3: '25.2',
  handles: { lockHandle: { type: TPMI_RH_LOCKOUT, auth: 'user' } },
});
export const TPM2_DictionaryAttackParameters = command({
  name: 'TPM2_DictionaryAttackParameters',
  code: 0x13a,
  part3: '25.3',
  handles: { lockHandle: { type: TPMI_RH_LOCKOUT, auth: 'user' } },
  parameters: { newMaxTries: uint32, newRecoveryTime: uint32, lockoutRecovery: uint32 },
});

// --- Contexts (28), clock (29) and capabilities (30) ---

export const TPM2_ContextSave = command({
  name: 'TPM2_ContextSave',
  code: 0x162,
  part3: '28.2',
  handles: { saveHandle: { type: TPMI_DH_CONTEXT } },
  response: { parameters: { context: TPMS_CONTEXT } },
});
export const TPM2_ContextLoad = command({
  name: 'TPM2_ContextLoad',
  code: 0x161,
  part3: '28.3',
  parameters: { context: TPMS_CONTEXT },
  response: { handles: { loadedHandle: TPM_HANDLE } },
});
export const TPM2_FlushContext = command({
  name: 'TPM2_FlushContext',
  code: 0x165,
  part3: '28.4',
  parameters: { flushHandle: TPMI_DH_CONTEXT },
});
export const TPM2_EvictControl = command({
  name: 'TPM2_EvictControl',
  code: 0x120,
  part3: '28.5',
  handles: { auth: { type: TPMI_RH_PROVISION, auth: 'user' }, objectHandle: { type: TPMI_DH_OBJECT } },
  parameters: { persistentHandle: TPMI_DH_PERSISTENT },
});
export const TPM2_ReadClock = command({
  name: 'TPM2_ReadClock',
  code: 0x181,
  part3: '29.1',
  response: { parameters: { currentTime: TPMS_TIME_INFO } },
});
export const TPM2_ClockSet = command({
  name: 'TPM2_ClockSet',
  code: 0x128,
  part3: '29.2',
  handles: { auth: { type: TPMI_RH_PROVISION, auth: 'user' } },
  parameters: { newTime: uint64 },
});
export const TPM2_GetCapability = command({
  name: 'TPM2_GetCapability',
  code: 0x17a,
  part3: '30.2',
  parameters: { capability: TPM_CAP, property: uint32, propertyCount: uint32 },
  response: { parameters: { moreData: TPMI_YES_NO, capabilityData: TPMS_CAPABILITY_DATA } },
});

// --- Non-volatile storage (31) ---

export const TPM2_NV_DefineSpace = command({
  name: 'TPM2_NV_DefineSpace',
  code: 0x12a,
  part3: '31.3',
  handles: { authHandle: { type: TPMI_RH_PROVISION, auth: 'user' } },
  parameters: { auth: TPM2B_AUTH, publicInfo: TPM2B_NV_PUBLIC },
});
export const TPM2_NV_UndefineSpace = command({
  name: 'TPM2_NV_UndefineSpace',
  code: 0x122,
  part3: '31.4',
  handles: { authHandle: { type: TPMI_RH_PROVISION, auth: 'user' }, nvIndex: { type: TPMI_RH_NV_INDEX } },
});
export const TPM2_NV_ReadPublic = command({
  name: 'TPM2_NV_ReadPublic',
  code: 0x169,
  part3: '31.6',
  handles: { nvIndex: { type: TPMI_RH_NV_INDEX } },
  response: { parameters: { nvPublic: TPM2B_NV_PUBLIC, nvName: TPM2B_NAME } },
});
export const TPM2_NV_Write = command({
  name: 'TPM2_NV_Write',
  code: 0x137,
  part3: '31.7',
  handles: { authHandle: { type: TPMI_RH_NV_AUTH, auth: 'user' }, nvIndex: { type: TPMI_RH_NV_INDEX } },
  parameters: { data: TPM2B_MAX_NV_BUFFER, offset: uint16 },
});
export const TPM2_NV_Increment = command({
  name: 'TPM2_NV_Increment',
  code: 0x134,
  part3: '31.8',
  handles: { authHandle: { type: TPMI_RH_NV_AUTH, auth: 'user' }, nvIndex: { type: TPMI_RH_NV_INDEX } },
});
export const TPM2_NV_Extend = command({
  name: 'TPM2_NV_Extend',
  code: 0x136,
  part3: '31.9',
  handles: { authHandle: { type: TPMI_RH_NV_AUTH, auth: 'user' }, nvIndex: { type: TPMI_RH_NV_INDEX } },
  parameters: { data: TPM2B_MAX_NV_BUFFER },
});
export const TPM2_NV_SetBits = command({
  name: 'TPM2_NV_SetBits',
  code: 0x135,
  part3: '31.10',
  handles: { authHandle: { type: TPMI_RH_NV_AUTH, auth: 'user' }, nvIndex: { type: TPMI_RH_NV_INDEX } },
  parameters: { bits: uint64 },
});
export const TPM2_NV_WriteLock = command({
  name: 'TPM2_NV_WriteLock',
  code: 0x138,
  part3: '31.11',
  handles: { authHandle: { type: TPMI_RH_NV_AUTH, auth: 'user' }, nvIndex: { type: TPMI_RH_NV_INDEX } },
});
export const TPM2_NV_Read = command({
  name: 'TPM2_NV_Read',
  code: 0x14e,
  part3: '31.13',
  handles: { authHandle: { type: TPMI_RH_NV_AUTH, auth: 'user' }, nvIndex: { type: TPMI_RH_NV_INDEX } },
  parameters: { size: uint16, offset: uint16 },
  response: { parameters: { data: TPM2B_MAX_NV_BUFFER } },
});
export const TPM2_NV_ReadLock = command({
  name: 'TPM2_NV_ReadLock',
  code: 0x14f,
  part3: '31.14',
  handles: { authHandle: { type: TPMI_RH_NV_AUTH, auth: 'user' }, nvIndex: { type: TPMI_RH_NV_INDEX } },
});
export const TPM2_NV_ChangeAuth = command({
  name: 'TPM2_NV_ChangeAuth',
  code: 0x13b,
  part3: '31.15',
  handles: { nvIndex: { type: TPMI_RH_NV_INDEX, auth: 'admin' } },
  parameters: { newAuth: TPM2B_AUTH },
});
export const TPM2_NV_Certify = command({
  name: 'TPM2_NV_Certify',
  code: 0x184,
  part3: '31.16',
  handles: {
    signHandle: { type: TPMI_DH_OBJECT_NULL, auth: 'user' },
    authHandle: { type: TPMI_RH_NV_AUTH, auth: 'user' },
    nvIndex: { type: TPMI_RH_NV_INDEX },
  },
  parameters: { qualifyingData: TPM2B_DATA, inScheme: TPMT_SIG_SCHEME, size: uint16, offset: uint16 },
  response: { parameters: { certifyInfo: TPM2B_ATTEST, signature: TPMT_SIGNATURE } },
});
