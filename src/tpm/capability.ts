/** Capabilities: TPM 2.0 Part 2, 10.8 and 10.10. Algorithms, curves and properties are numbers: a TPM may know more. */
import { TPMA_ACT, TPMA_ALGORITHM } from './attributes.ts';
import { TPML_CC, TPML_CCA, TPML_HANDLE, TPMT_HA_NULL } from './buffers.ts';
import { list, named, struct, type TypeOf, tagged, uint16, uint32 } from './codec.ts';
import { TPM_CAP, TPM_HANDLE } from './constants.ts';
import { TPML_PCR_SELECTION, TPMS_TAGGED_PCR_SELECT } from './pcr-selection.ts';

export const TPMS_ALG_PROPERTY = struct('TPMS_ALG_PROPERTY', {
  alg: named('TPM_ALG_ID', uint16),
  algProperties: TPMA_ALGORITHM,
});
/** `property` is a TPM_PT. */
export const TPMS_TAGGED_PROPERTY = struct('TPMS_TAGGED_PROPERTY', { property: uint32, value: uint32 });
export const TPMS_TAGGED_POLICY = struct('TPMS_TAGGED_POLICY', { handle: TPM_HANDLE, policyHash: TPMT_HA_NULL });
export const TPMS_ACT_DATA = struct('TPMS_ACT_DATA', { handle: TPM_HANDLE, timeout: uint32, attributes: TPMA_ACT });

/** MAX_CAP_DATA (1024 less the capability and the count) over the element's size, rounded up to what TPMs send. */
export const TPMS_CAPABILITY_DATA = tagged('TPMS_CAPABILITY_DATA', {
  selector: { capability: TPM_CAP },
  shared: {},
  variants: {
    algs: { data: list('TPML_ALG_PROPERTY', TPMS_ALG_PROPERTY, 170) },
    handles: { data: TPML_HANDLE },
    commands: { data: TPML_CCA },
    pp_commands: { data: TPML_CC },
    audit_commands: { data: TPML_CC },
    pcrs: { data: TPML_PCR_SELECTION },
    tpm_properties: { data: list('TPML_TAGGED_TPM_PROPERTY', TPMS_TAGGED_PROPERTY, 127) },
    pcr_properties: { data: list('TPML_TAGGED_PCR_PROPERTY', TPMS_TAGGED_PCR_SELECT, 127) },
    ecc_curves: { data: list('TPML_ECC_CURVE', named('TPM_ECC_CURVE', uint16), 508) },
    auth_policies: { data: list('TPML_TAGGED_POLICY', TPMS_TAGGED_POLICY, 64) },
    act: { data: list('TPML_ACT_DATA', TPMS_ACT_DATA, 84) },
  },
});
export type TPMS_CAPABILITY_DATA = TypeOf<typeof TPMS_CAPABILITY_DATA>;
