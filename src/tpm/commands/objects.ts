/** Objects (12): TPM 2.0 Part 3. Fields carry the specification's names and order; `auth` is its `@`. */
import { command } from '../command.ts';
import {
  TPM_HANDLE,
  TPM2B_AUTH,
  TPM2B_CREATION_DATA,
  TPM2B_DATA,
  TPM2B_DIGEST,
  TPM2B_ENCRYPTED_SECRET,
  TPM2B_ID_OBJECT,
  TPM2B_NAME,
  TPM2B_PRIVATE,
  TPM2B_PUBLIC,
  TPM2B_SENSITIVE,
  TPM2B_SENSITIVE_CREATE,
  TPM2B_SENSITIVE_DATA,
  TPM2B_TEMPLATE,
  TPMI_DH_OBJECT,
  TPMI_DH_PARENT,
  TPMI_RH_HIERARCHY_NULL,
  TPML_PCR_SELECTION,
  TPMT_TK_CREATION,
} from '../structures.ts';

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
  parameters: { inPrivate: TPM2B_SENSITIVE, inPublic: TPM2B_PUBLIC, hierarchy: TPMI_RH_HIERARCHY_NULL },
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
