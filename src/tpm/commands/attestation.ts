/** Attestation (18), signatures (20) and audit (21): TPM 2.0 Part 3. Fields carry the specification's names and order; `auth` is its `@`. */
import { command } from '../command.ts';
import {
  TPM2B_ATTEST,
  TPM2B_DATA,
  TPM2B_DIGEST,
  TPM2B_MAX_BUFFER,
  TPMI_ALG_HASH_NULL,
  TPMI_DH_OBJECT,
  TPMI_DH_OBJECT_NULL,
  TPMI_RH_ENDORSEMENT,
  TPMI_RH_PROVISION,
  TPMI_SH_HMAC,
  TPML_CC,
  TPML_PCR_SELECTION,
  TPMT_SIG_SCHEME,
  TPMT_SIGNATURE,
  TPMT_SIGNATURE_PRESENT,
  TPMT_TK_CREATION,
  TPMT_TK_HASHCHECK,
  TPMT_TK_VERIFIED,
} from '../structures.ts';

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
export const TPM2_GetSessionAuditDigest = command({
  name: 'TPM2_GetSessionAuditDigest',
  code: 0x14d,
  part3: '18.5',
  handles: {
    privacyAdminHandle: { type: TPMI_RH_ENDORSEMENT, auth: 'user' },
    signHandle: { type: TPMI_DH_OBJECT_NULL, auth: 'user' },
    sessionHandle: { type: TPMI_SH_HMAC },
  },
  parameters: { qualifyingData: TPM2B_DATA, inScheme: TPMT_SIG_SCHEME },
  response: { parameters: { auditInfo: TPM2B_ATTEST, signature: TPMT_SIGNATURE } },
});
export const TPM2_GetCommandAuditDigest = command({
  name: 'TPM2_GetCommandAuditDigest',
  code: 0x133,
  part3: '18.6',
  marks: ['nv'],
  handles: {
    privacyHandle: { type: TPMI_RH_ENDORSEMENT, auth: 'user' },
    signHandle: { type: TPMI_DH_OBJECT_NULL, auth: 'user' },
  },
  parameters: { qualifyingData: TPM2B_DATA, inScheme: TPMT_SIG_SCHEME },
  response: { parameters: { auditInfo: TPM2B_ATTEST, signature: TPMT_SIGNATURE } },
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
export const TPM2_CertifyX509 = command({
  name: 'TPM2_CertifyX509',
  code: 0x197,
  part3: '18.8',
  handles: {
    objectHandle: { type: TPMI_DH_OBJECT, auth: 'admin' },
    signHandle: { type: TPMI_DH_OBJECT_NULL, auth: 'user' },
  },
  parameters: { reserved: TPM2B_DATA, inScheme: TPMT_SIG_SCHEME, partialCertificate: TPM2B_MAX_BUFFER },
  response: {
    parameters: { addedToCertificate: TPM2B_MAX_BUFFER, tbsDigest: TPM2B_DIGEST, signature: TPMT_SIGNATURE },
  },
});
export const TPM2_VerifySignature = command({
  name: 'TPM2_VerifySignature',
  code: 0x177,
  part3: '20.1',
  handles: { keyHandle: { type: TPMI_DH_OBJECT } },
  parameters: { digest: TPM2B_DIGEST, signature: TPMT_SIGNATURE_PRESENT },
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
export const TPM2_SetCommandCodeAuditStatus = command({
  name: 'TPM2_SetCommandCodeAuditStatus',
  code: 0x140,
  part3: '21.2',
  marks: ['nv'],
  handles: { auth: { type: TPMI_RH_PROVISION, auth: 'user' } },
  parameters: { auditAlg: TPMI_ALG_HASH_NULL, setList: TPML_CC, clearList: TPML_CC },
});
