/** NV indices: TPM 2.0 Part 2, 13.5–6. */
import { TPMA_NV } from './attributes.ts';
import { TPM2B_DIGEST } from './buffers.ts';
import { sized, struct, type TypeOf, uint16 } from './codec.ts';
import { TPMI_ALG_HASH, TPMI_RH_NV_INDEX } from './constants.ts';

export const TPMS_NV_PUBLIC = struct('TPMS_NV_PUBLIC', {
  nvIndex: TPMI_RH_NV_INDEX,
  nameAlg: TPMI_ALG_HASH,
  attributes: TPMA_NV,
  authPolicy: TPM2B_DIGEST,
  dataSize: uint16,
});
export type TPMS_NV_PUBLIC = TypeOf<typeof TPMS_NV_PUBLIC>;
export const TPM2B_NV_PUBLIC = sized('TPM2B_NV_PUBLIC', 'nvPublic', TPMS_NV_PUBLIC);
