/** Asymmetric primitives (14), symmetric primitives (15), random numbers (16), hashes (17) and ephemeral keys (19): TPM 2.0 Part 3. Fields carry the specification's names and order; `auth` is its `@`. */
import { uint16 } from '../codec.ts';
import { command } from '../command.ts';
import {
  TPM_HANDLE,
  TPM2B_AUTH,
  TPM2B_DATA,
  TPM2B_DIGEST,
  TPM2B_ECC_PARAMETER,
  TPM2B_ECC_POINT,
  TPM2B_IV,
  TPM2B_MAX_BUFFER,
  TPM2B_PUBLIC_KEY_RSA,
  TPM2B_SENSITIVE_DATA,
  TPMI_ALG_CIPHER_MODE,
  TPMI_ALG_HASH,
  TPMI_ALG_HASH_NULL,
  TPMI_ALG_MAC_SCHEME,
  TPMI_DH_OBJECT,
  TPMI_DH_PCR_NULL,
  TPMI_ECC_CURVE,
  TPMI_ECC_KEY_EXCHANGE,
  TPMI_RH_HIERARCHY_NULL,
  TPMI_YES_NO,
  TPML_DIGEST_VALUES,
  TPMS_ALGORITHM_DETAIL_ECC,
  TPMT_RSA_DECRYPT,
  TPMT_TK_HASHCHECK,
} from '../structures.ts';

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
export const TPM2_ECC_Parameters = command({
  name: 'TPM2_ECC_Parameters',
  code: 0x178,
  part3: '14.6',
  parameters: { curveID: TPMI_ECC_CURVE },
  response: { parameters: { parameters: TPMS_ALGORITHM_DETAIL_ECC } },
});
export const TPM2_ZGen_2Phase = command({
  name: 'TPM2_ZGen_2Phase',
  code: 0x18d,
  part3: '14.7',
  handles: { keyA: { type: TPMI_DH_OBJECT, auth: 'user' } },
  parameters: {
    inQsB: TPM2B_ECC_POINT,
    inQeB: TPM2B_ECC_POINT,
    inScheme: TPMI_ECC_KEY_EXCHANGE,
    counter: uint16,
  },
  response: { parameters: { outZ1: TPM2B_ECC_POINT, outZ2: TPM2B_ECC_POINT } },
});
export const TPM2_EncryptDecrypt = command({
  name: 'TPM2_EncryptDecrypt',
  code: 0x164,
  part3: '15.2',
  handles: { keyHandle: { type: TPMI_DH_OBJECT, auth: 'user' } },
  parameters: { decrypt: TPMI_YES_NO, mode: TPMI_ALG_CIPHER_MODE, ivIn: TPM2B_IV, inData: TPM2B_MAX_BUFFER },
  response: { parameters: { outData: TPM2B_MAX_BUFFER, ivOut: TPM2B_IV } },
});
export const TPM2_EncryptDecrypt2 = command({
  name: 'TPM2_EncryptDecrypt2',
  code: 0x193,
  part3: '15.3',
  handles: { keyHandle: { type: TPMI_DH_OBJECT, auth: 'user' } },
  parameters: { inData: TPM2B_MAX_BUFFER, decrypt: TPMI_YES_NO, mode: TPMI_ALG_CIPHER_MODE, ivIn: TPM2B_IV },
  response: { parameters: { outData: TPM2B_MAX_BUFFER, ivOut: TPM2B_IV } },
});
export const TPM2_Hash = command({
  name: 'TPM2_Hash',
  code: 0x17d,
  part3: '15.4',
  parameters: { data: TPM2B_MAX_BUFFER, hashAlg: TPMI_ALG_HASH, hierarchy: TPMI_RH_HIERARCHY_NULL },
  response: { parameters: { outHash: TPM2B_DIGEST, validation: TPMT_TK_HASHCHECK } },
});
/** With `cmac` it is TPM2_MAC (15.6), which has the same code. */
export const TPM2_HMAC = command({
  name: 'TPM2_HMAC',
  code: 0x155,
  part3: '15.5',
  handles: { handle: { type: TPMI_DH_OBJECT, auth: 'user' } },
  parameters: { buffer: TPM2B_MAX_BUFFER, hashAlg: TPMI_ALG_MAC_SCHEME },
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
  marks: ['nv'],
  parameters: { inData: TPM2B_SENSITIVE_DATA },
});
/** With `cmac` it is TPM2_MAC_Start (17.3), which has the same code. */
export const TPM2_HMAC_Start = command({
  name: 'TPM2_HMAC_Start',
  code: 0x15b,
  part3: '17.2',
  handles: { handle: { type: TPMI_DH_OBJECT, auth: 'user' } },
  parameters: { auth: TPM2B_AUTH, hashAlg: TPMI_ALG_MAC_SCHEME },
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
  marks: ['flushed'],
  handles: { sequenceHandle: { type: TPMI_DH_OBJECT, auth: 'user' } },
  parameters: { buffer: TPM2B_MAX_BUFFER, hierarchy: TPMI_RH_HIERARCHY_NULL },
  response: { parameters: { result: TPM2B_DIGEST, validation: TPMT_TK_HASHCHECK } },
});
export const TPM2_EventSequenceComplete = command({
  name: 'TPM2_EventSequenceComplete',
  code: 0x185,
  part3: '17.7',
  marks: ['nv', 'flushed'],
  handles: {
    pcrHandle: { type: TPMI_DH_PCR_NULL, auth: 'user' },
    sequenceHandle: { type: TPMI_DH_OBJECT, auth: 'user' },
  },
  parameters: { buffer: TPM2B_MAX_BUFFER },
  response: { parameters: { results: TPML_DIGEST_VALUES } },
});
export const TPM2_Commit = command({
  name: 'TPM2_Commit',
  code: 0x18b,
  part3: '19.2',
  handles: { signHandle: { type: TPMI_DH_OBJECT, auth: 'user' } },
  parameters: { P1: TPM2B_ECC_POINT, s2: TPM2B_SENSITIVE_DATA, y2: TPM2B_ECC_PARAMETER },
  response: { parameters: { K: TPM2B_ECC_POINT, L: TPM2B_ECC_POINT, E: TPM2B_ECC_POINT, counter: uint16 } },
});
export const TPM2_EC_Ephemeral = command({
  name: 'TPM2_EC_Ephemeral',
  code: 0x18e,
  part3: '19.3',
  parameters: { curveID: TPMI_ECC_CURVE },
  response: { parameters: { Q: TPM2B_ECC_POINT, counter: uint16 } },
});
