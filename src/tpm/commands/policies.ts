/** Policies (23): TPM 2.0 Part 3. Fields carry the specification's names and order; `auth` is its `@`. */
import { int32, uint16 } from '../codec.ts';
import { command } from '../command.ts';
import {
  TPM_CC_NUMBER,
  TPM_EO,
  TPM2B_DIGEST,
  TPM2B_NAME,
  TPM2B_NONCE,
  TPM2B_OPERAND,
  TPM2B_TIMEOUT,
  TPMA_LOCALITY,
  TPMI_DH_ENTITY,
  TPMI_DH_OBJECT,
  TPMI_RH_NV_AUTH,
  TPMI_RH_NV_INDEX,
  TPMI_SH_POLICY,
  TPMI_YES_NO,
  TPML_DIGEST_CHOICE,
  TPML_PCR_SELECTION,
  TPMT_SIGNATURE_PRESENT,
  TPMT_TK_AUTH,
  TPMT_TK_VERIFIED,
} from '../structures.ts';

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
    auth: TPMT_SIGNATURE_PRESENT,
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
export const TPM2_PolicyTicket = command({
  name: 'TPM2_PolicyTicket',
  code: 0x172,
  part3: '23.5',
  handles: { policySession: { type: TPMI_SH_POLICY } },
  parameters: {
    timeout: TPM2B_TIMEOUT,
    cpHashA: TPM2B_DIGEST,
    policyRef: TPM2B_NONCE,
    authName: TPM2B_NAME,
    ticket: TPMT_TK_AUTH,
  },
});
export const TPM2_PolicyOR = command({
  name: 'TPM2_PolicyOR',
  code: 0x171,
  part3: '23.6',
  handles: { policySession: { type: TPMI_SH_POLICY } },
  parameters: { pHashList: TPML_DIGEST_CHOICE },
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
export const TPM2_PolicyCounterTimer = command({
  name: 'TPM2_PolicyCounterTimer',
  code: 0x16d,
  part3: '23.10',
  handles: { policySession: { type: TPMI_SH_POLICY } },
  parameters: { operandB: TPM2B_OPERAND, offset: uint16, operation: TPM_EO },
});
export const TPM2_PolicyCommandCode = command({
  name: 'TPM2_PolicyCommandCode',
  code: 0x16c,
  part3: '23.11',
  handles: { policySession: { type: TPMI_SH_POLICY } },
  parameters: { code: TPM_CC_NUMBER },
});
export const TPM2_PolicyPhysicalPresence = command({
  name: 'TPM2_PolicyPhysicalPresence',
  code: 0x187,
  part3: '23.12',
  handles: { policySession: { type: TPMI_SH_POLICY } },
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
