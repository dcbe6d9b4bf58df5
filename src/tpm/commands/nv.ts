/** Non-volatile storage (31): TPM 2.0 Part 3. Fields carry the specification's names and order; `auth` is its `@`. */
import { uint16, uint64 } from '../codec.ts';
import { command } from '../command.ts';
import {
  TPM2B_ATTEST,
  TPM2B_AUTH,
  TPM2B_DATA,
  TPM2B_MAX_NV_BUFFER,
  TPM2B_NAME,
  TPM2B_NV_PUBLIC,
  TPMI_DH_OBJECT_NULL,
  TPMI_RH_NV_AUTH,
  TPMI_RH_NV_INDEX,
  TPMI_RH_PLATFORM,
  TPMI_RH_PROVISION,
  TPMT_SIG_SCHEME,
  TPMT_SIGNATURE,
} from '../structures.ts';

export const TPM2_NV_DefineSpace = command({
  name: 'TPM2_NV_DefineSpace',
  code: 0x12a,
  part3: '31.3',
  marks: ['nv'],
  handles: { authHandle: { type: TPMI_RH_PROVISION, auth: 'user' } },
  parameters: { auth: TPM2B_AUTH, publicInfo: TPM2B_NV_PUBLIC },
});
export const TPM2_NV_UndefineSpace = command({
  name: 'TPM2_NV_UndefineSpace',
  code: 0x122,
  part3: '31.4',
  marks: ['nv'],
  handles: { authHandle: { type: TPMI_RH_PROVISION, auth: 'user' }, nvIndex: { type: TPMI_RH_NV_INDEX } },
});
export const TPM2_NV_UndefineSpaceSpecial = command({
  name: 'TPM2_NV_UndefineSpaceSpecial',
  code: 0x11f,
  part3: '31.5',
  marks: ['nv'],
  handles: { nvIndex: { type: TPMI_RH_NV_INDEX, auth: 'admin' }, platform: { type: TPMI_RH_PLATFORM, auth: 'user' } },
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
  marks: ['nv'],
  handles: { authHandle: { type: TPMI_RH_NV_AUTH, auth: 'user' }, nvIndex: { type: TPMI_RH_NV_INDEX } },
  parameters: { data: TPM2B_MAX_NV_BUFFER, offset: uint16 },
});
export const TPM2_NV_Increment = command({
  name: 'TPM2_NV_Increment',
  code: 0x134,
  part3: '31.8',
  marks: ['nv'],
  handles: { authHandle: { type: TPMI_RH_NV_AUTH, auth: 'user' }, nvIndex: { type: TPMI_RH_NV_INDEX } },
});
export const TPM2_NV_Extend = command({
  name: 'TPM2_NV_Extend',
  code: 0x136,
  part3: '31.9',
  marks: ['nv'],
  handles: { authHandle: { type: TPMI_RH_NV_AUTH, auth: 'user' }, nvIndex: { type: TPMI_RH_NV_INDEX } },
  parameters: { data: TPM2B_MAX_NV_BUFFER },
});
export const TPM2_NV_SetBits = command({
  name: 'TPM2_NV_SetBits',
  code: 0x135,
  part3: '31.10',
  marks: ['nv'],
  handles: { authHandle: { type: TPMI_RH_NV_AUTH, auth: 'user' }, nvIndex: { type: TPMI_RH_NV_INDEX } },
  parameters: { bits: uint64 },
});
export const TPM2_NV_WriteLock = command({
  name: 'TPM2_NV_WriteLock',
  code: 0x138,
  part3: '31.11',
  marks: ['nv'],
  handles: { authHandle: { type: TPMI_RH_NV_AUTH, auth: 'user' }, nvIndex: { type: TPMI_RH_NV_INDEX } },
});
export const TPM2_NV_GlobalWriteLock = command({
  name: 'TPM2_NV_GlobalWriteLock',
  code: 0x132,
  part3: '31.12',
  marks: ['nv'],
  handles: { authHandle: { type: TPMI_RH_PROVISION, auth: 'user' } },
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
  marks: ['nv'],
  handles: { authHandle: { type: TPMI_RH_NV_AUTH, auth: 'user' }, nvIndex: { type: TPMI_RH_NV_INDEX } },
});
export const TPM2_NV_ChangeAuth = command({
  name: 'TPM2_NV_ChangeAuth',
  code: 0x13b,
  part3: '31.15',
  marks: ['nv'],
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
