/** Sessions (11): TPM 2.0 Part 3. Fields carry the specification's names and order; `auth` is its `@`. */
import { command } from '../command.ts';
import {
  TPM_HANDLE,
  TPM_SE,
  TPM2B_ENCRYPTED_SECRET,
  TPM2B_NONCE,
  TPMI_ALG_HASH,
  TPMI_DH_ENTITY_NULL,
  TPMI_DH_OBJECT_NULL,
  TPMI_SH_POLICY,
  TPMT_SYM_DEF,
} from '../structures.ts';

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
