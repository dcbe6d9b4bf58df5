/** Platform configuration registers (22): TPM 2.0 Part 3. Fields carry the specification's names and order; `auth` is its `@`. */
import { uint32 } from '../codec.ts';
import { command } from '../command.ts';
import {
  TPM2B_DIGEST,
  TPM2B_EVENT,
  TPMI_ALG_HASH_NULL,
  TPMI_DH_PCR,
  TPMI_DH_PCR_NULL,
  TPMI_RH_PLATFORM,
  TPMI_YES_NO,
  TPML_DIGEST,
  TPML_DIGEST_VALUES,
  TPML_PCR_SELECTION,
} from '../structures.ts';

export const TPM2_PCR_Extend = command({
  name: 'TPM2_PCR_Extend',
  code: 0x182,
  part3: '22.2',
  marks: ['nv'],
  handles: { pcrHandle: { type: TPMI_DH_PCR_NULL, auth: 'user' } },
  parameters: { digests: TPML_DIGEST_VALUES },
});
export const TPM2_PCR_Event = command({
  name: 'TPM2_PCR_Event',
  code: 0x13c,
  part3: '22.3',
  marks: ['nv'],
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
  marks: ['nv'],
  handles: { authHandle: { type: TPMI_RH_PLATFORM, auth: 'user' } },
  parameters: { pcrAllocation: TPML_PCR_SELECTION },
  response: {
    parameters: { allocationSuccess: TPMI_YES_NO, maxPCR: uint32, sizeNeeded: uint32, sizeAvailable: uint32 },
  },
});
export const TPM2_PCR_SetAuthPolicy = command({
  name: 'TPM2_PCR_SetAuthPolicy',
  code: 0x12c,
  part3: '22.6',
  marks: ['nv'],
  handles: { authHandle: { type: TPMI_RH_PLATFORM, auth: 'user' } },
  parameters: { authPolicy: TPM2B_DIGEST, hashAlg: TPMI_ALG_HASH_NULL, pcrNum: TPMI_DH_PCR },
});
export const TPM2_PCR_SetAuthValue = command({
  name: 'TPM2_PCR_SetAuthValue',
  code: 0x183,
  part3: '22.7',
  handles: { pcrHandle: { type: TPMI_DH_PCR, auth: 'user' } },
  parameters: { auth: TPM2B_DIGEST },
});
export const TPM2_PCR_Reset = command({
  name: 'TPM2_PCR_Reset',
  code: 0x13d,
  part3: '22.8',
  marks: ['nv'],
  handles: { pcrHandle: { type: TPMI_DH_PCR, auth: 'user' } },
});
