/** Public areas and what creation returns: TPM 2.0 Part 2, 11.2.4–5, 12.2 and 15. */
import { TPMA_LOCALITY, TPMA_OBJECT } from './attributes.ts';
import { TPM2B_DATA, TPM2B_DIGEST, TPM2B_NAME } from './buffers.ts';
import { sized, struct, type TypeOf, tagged, tpm2b, uint16, uint32 } from './codec.ts';
import { TPM_ALG_ID, TPMI_ALG_HASH_NULL, TPMI_ALG_PUBLIC, TPMI_ECC_CURVE } from './constants.ts';
import { TPML_PCR_SELECTION } from './pcr-selection.ts';
import {
  TPMS_SYMCIPHER_PARMS,
  TPMT_ECC_SCHEME,
  TPMT_KDF_SCHEME,
  TPMT_KEYEDHASH_SCHEME,
  TPMT_RSA_SCHEME,
  TPMT_SYM_DEF_OBJECT,
} from './schemes.ts';

/** The modulus, big-endian. */
export const TPM2B_PUBLIC_KEY_RSA = tpm2b('TPM2B_PUBLIC_KEY_RSA', 512);
/** A coordinate or scalar, big-endian; TPMs may leave leading zeros out, so compare as numbers. P-521 has 66 bytes. */
export const TPM2B_ECC_PARAMETER = tpm2b('TPM2B_ECC_PARAMETER', 66);

export const TPMS_ECC_POINT = struct('TPMS_ECC_POINT', { x: TPM2B_ECC_PARAMETER, y: TPM2B_ECC_PARAMETER });
export type TPMS_ECC_POINT = TypeOf<typeof TPMS_ECC_POINT>;
export const TPM2B_ECC_POINT = sized('TPM2B_ECC_POINT', 'point', TPMS_ECC_POINT);

export const TPMS_RSA_PARMS = struct('TPMS_RSA_PARMS', {
  symmetric: TPMT_SYM_DEF_OBJECT,
  scheme: TPMT_RSA_SCHEME,
  keyBits: uint16,
  /** 0 stands for 65537. */
  exponent: uint32,
});
export const TPMS_ECC_PARMS = struct('TPMS_ECC_PARMS', {
  symmetric: TPMT_SYM_DEF_OBJECT,
  scheme: TPMT_ECC_SCHEME,
  curveID: TPMI_ECC_CURVE,
  kdf: TPMT_KDF_SCHEME,
});
export const TPMS_KEYEDHASH_PARMS = struct('TPMS_KEYEDHASH_PARMS', { scheme: TPMT_KEYEDHASH_SCHEME });

/** `{ type: 'ecc', nameAlg: 'sha256', objectAttributes: { fixedTPM: true, … }, …, unique: { x, y } }` */
export const TPMT_PUBLIC = tagged('TPMT_PUBLIC', {
  selector: { type: TPMI_ALG_PUBLIC },
  shared: { nameAlg: TPMI_ALG_HASH_NULL, objectAttributes: TPMA_OBJECT, authPolicy: TPM2B_DIGEST },
  variants: {
    rsa: { parameters: TPMS_RSA_PARMS, unique: TPM2B_PUBLIC_KEY_RSA },
    ecc: { parameters: TPMS_ECC_PARMS, unique: TPMS_ECC_POINT },
    keyedhash: { parameters: TPMS_KEYEDHASH_PARMS, unique: TPM2B_DIGEST },
    symcipher: { parameters: TPMS_SYMCIPHER_PARMS, unique: TPM2B_DIGEST },
  },
});
export type TPMT_PUBLIC = TypeOf<typeof TPMT_PUBLIC>;
export const TPM2B_PUBLIC = sized('TPM2B_PUBLIC', 'publicArea', TPMT_PUBLIC);

export const TPMS_CREATION_DATA = struct('TPMS_CREATION_DATA', {
  pcrSelect: TPML_PCR_SELECTION,
  pcrDigest: TPM2B_DIGEST,
  locality: TPMA_LOCALITY,
  parentNameAlg: TPM_ALG_ID,
  parentName: TPM2B_NAME,
  parentQualifiedName: TPM2B_NAME,
  outsideInfo: TPM2B_DATA,
});
export type TPMS_CREATION_DATA = TypeOf<typeof TPMS_CREATION_DATA>;
export const TPM2B_CREATION_DATA = sized('TPM2B_CREATION_DATA', 'creationData', TPMS_CREATION_DATA);
