/** Duplication (13): TPM 2.0 Part 3. Fields carry the specification's names and order; `auth` is its `@`. */
import { command } from '../command.ts';
import {
  TPM2B_DATA,
  TPM2B_ENCRYPTED_SECRET,
  TPM2B_NAME,
  TPM2B_PRIVATE,
  TPM2B_PUBLIC,
  TPMI_DH_OBJECT,
  TPMI_DH_OBJECT_NULL,
  TPMT_SYM_DEF_OBJECT_NULL,
} from '../structures.ts';

export const TPM2_Duplicate = command({
  name: 'TPM2_Duplicate',
  code: 0x14b,
  part3: '13.1',
  handles: { objectHandle: { type: TPMI_DH_OBJECT, auth: 'dup' }, newParentHandle: { type: TPMI_DH_OBJECT_NULL } },
  parameters: { encryptionKeyIn: TPM2B_DATA, symmetricAlg: TPMT_SYM_DEF_OBJECT_NULL },
  response: {
    parameters: { encryptionKeyOut: TPM2B_DATA, duplicate: TPM2B_PRIVATE, outSymSeed: TPM2B_ENCRYPTED_SECRET },
  },
});
export const TPM2_Rewrap = command({
  name: 'TPM2_Rewrap',
  code: 0x152,
  part3: '13.2',
  handles: { oldParent: { type: TPMI_DH_OBJECT_NULL, auth: 'user' }, newParent: { type: TPMI_DH_OBJECT_NULL } },
  parameters: { inDuplicate: TPM2B_PRIVATE, name: TPM2B_NAME, inSymSeed: TPM2B_ENCRYPTED_SECRET },
  response: { parameters: { outDuplicate: TPM2B_PRIVATE, outSymSeed: TPM2B_ENCRYPTED_SECRET } },
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
    symmetricAlg: TPMT_SYM_DEF_OBJECT_NULL,
  },
  response: { parameters: { outPrivate: TPM2B_PRIVATE } },
});
