/** Hierarchies (24) and dictionary attack protection (25): TPM 2.0 Part 3. Fields carry the specification's names and order; `auth` is its `@`. */
import { uint32 } from '../codec.ts';
import { command } from '../command.ts';
import {
  TPM_HANDLE,
  TPM2B_AUTH,
  TPM2B_CREATION_DATA,
  TPM2B_DATA,
  TPM2B_DIGEST,
  TPM2B_NAME,
  TPM2B_PUBLIC,
  TPM2B_SENSITIVE_CREATE,
  TPMI_ALG_HASH_NULL,
  TPMI_RH_CLEAR,
  TPMI_RH_ENABLES,
  TPMI_RH_HIERARCHY,
  TPMI_RH_HIERARCHY_AUTH,
  TPMI_RH_HIERARCHY_NULL,
  TPMI_RH_LOCKOUT,
  TPMI_RH_PLATFORM,
  TPMI_YES_NO,
  TPML_PCR_SELECTION,
  TPMT_TK_CREATION,
} from '../structures.ts';

export const TPM2_CreatePrimary = command({
  name: 'TPM2_CreatePrimary',
  code: 0x131,
  part3: '24.1',
  handles: { primaryHandle: { type: TPMI_RH_HIERARCHY_NULL, auth: 'user' } },
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
  marks: ['nv', 'extensive'],
  handles: { authHandle: { type: TPMI_RH_HIERARCHY, auth: 'user' } },
  parameters: { enable: TPMI_RH_ENABLES, state: TPMI_YES_NO },
});
export const TPM2_SetPrimaryPolicy = command({
  name: 'TPM2_SetPrimaryPolicy',
  code: 0x12e,
  part3: '24.3',
  marks: ['nv'],
  handles: { authHandle: { type: TPMI_RH_HIERARCHY_AUTH, auth: 'user' } },
  parameters: { authPolicy: TPM2B_DIGEST, hashAlg: TPMI_ALG_HASH_NULL },
});
export const TPM2_ChangePPS = command({
  name: 'TPM2_ChangePPS',
  code: 0x125,
  part3: '24.4',
  marks: ['nv', 'extensive'],
  handles: { authHandle: { type: TPMI_RH_PLATFORM, auth: 'user' } },
});
export const TPM2_ChangeEPS = command({
  name: 'TPM2_ChangeEPS',
  code: 0x124,
  part3: '24.5',
  marks: ['nv', 'extensive'],
  handles: { authHandle: { type: TPMI_RH_PLATFORM, auth: 'user' } },
});
export const TPM2_Clear = command({
  name: 'TPM2_Clear',
  code: 0x126,
  part3: '24.6',
  marks: ['nv', 'extensive'],
  handles: { authHandle: { type: TPMI_RH_CLEAR, auth: 'user' } },
});
export const TPM2_ClearControl = command({
  name: 'TPM2_ClearControl',
  code: 0x127,
  part3: '24.7',
  marks: ['nv'],
  handles: { auth: { type: TPMI_RH_CLEAR, auth: 'user' } },
  parameters: { disable: TPMI_YES_NO },
});
export const TPM2_HierarchyChangeAuth = command({
  name: 'TPM2_HierarchyChangeAuth',
  code: 0x129,
  part3: '24.8',
  marks: ['nv'],
  handles: { authHandle: { type: TPMI_RH_HIERARCHY_AUTH, auth: 'user' } },
  parameters: { newAuth: TPM2B_AUTH },
});
export const TPM2_DictionaryAttackLockReset = command({
  name: 'TPM2_DictionaryAttackLockReset',
  code: 0x139,
  part3: '25.2',
  marks: ['nv'],
  handles: { lockHandle: { type: TPMI_RH_LOCKOUT, auth: 'user' } },
});
export const TPM2_DictionaryAttackParameters = command({
  name: 'TPM2_DictionaryAttackParameters',
  code: 0x13a,
  part3: '25.3',
  marks: ['nv'],
  handles: { lockHandle: { type: TPMI_RH_LOCKOUT, auth: 'user' } },
  parameters: { newMaxTries: uint32, newRecoveryTime: uint32, lockoutRecovery: uint32 },
});
