/** Public areas and what creation returns: TPM 2.0 Part 2, 11.2.4–5, 12.2 and 15. */
import { TPMA_LOCALITY, TPMA_OBJECT } from './attributes.ts';
import { TPM2B_DATA, TPM2B_DIGEST, TPM2B_NAME } from './buffers.ts';
import { sized, struct, type TypeOf, tagged, tpm2b, uint16, uint32 } from './codec.ts';
import {
  TPM_ALG_ID,
  TPMI_ALG_HASH,
  TPMI_ALG_HASH_NULL,
  TPMI_ALG_PUBLIC,
  TPMI_ECC_CURVE,
  TPMI_RSA_KEY_BITS,
} from './constants.ts';
import { TPML_PCR_SELECTION } from './pcr-selection.ts';
import {
  TPMS_SYMCIPHER_PARMS,
  TPMT_ECC_SCHEME,
  TPMT_KDF_SCHEME,
  TPMT_KEYEDHASH_SCHEME,
  TPMT_RSA_SCHEME,
  TPMT_SYM_DEF_OBJECT_NULL,
} from './schemes.ts';

/** The modulus, big-endian. */
export const TPM2B_PUBLIC_KEY_RSA = tpm2b('TPM2B_PUBLIC_KEY_RSA', 512);
/** A coordinate or scalar, big-endian; TPMs may leave leading zeros out, so compare as numbers. BN P-638 has 80 bytes. */
export const TPM2B_ECC_PARAMETER = tpm2b('TPM2B_ECC_PARAMETER', 80);

export const TPMS_ECC_POINT = struct('TPMS_ECC_POINT', { x: TPM2B_ECC_PARAMETER, y: TPM2B_ECC_PARAMETER });
export type TPMS_ECC_POINT = TypeOf<typeof TPMS_ECC_POINT>;
export const TPM2B_ECC_POINT = sized('TPM2B_ECC_POINT', 'point', TPMS_ECC_POINT);

export const TPMS_RSA_PARMS = struct('TPMS_RSA_PARMS', {
  symmetric: TPMT_SYM_DEF_OBJECT_NULL,
  scheme: TPMT_RSA_SCHEME,
  keyBits: TPMI_RSA_KEY_BITS,
  /** 0 stands for 65537. */
  exponent: uint32,
});
export const TPMS_ECC_PARMS = struct('TPMS_ECC_PARMS', {
  symmetric: TPMT_SYM_DEF_OBJECT_NULL,
  scheme: TPMT_ECC_SCHEME,
  curveID: TPMI_ECC_CURVE,
  kdf: TPMT_KDF_SCHEME,
});
export const TPMS_KEYEDHASH_PARMS = struct('TPMS_KEYEDHASH_PARMS', { scheme: TPMT_KEYEDHASH_SCHEME });

const parameters = {
  rsa: { parameters: TPMS_RSA_PARMS },
  ecc: { parameters: TPMS_ECC_PARMS },
  keyedhash: { parameters: TPMS_KEYEDHASH_PARMS },
  symcipher: { parameters: TPMS_SYMCIPHER_PARMS },
};
const variants = {
  rsa: { ...parameters.rsa, unique: TPM2B_PUBLIC_KEY_RSA },
  ecc: { ...parameters.ecc, unique: TPMS_ECC_POINT },
  keyedhash: { ...parameters.keyedhash, unique: TPM2B_DIGEST },
  symcipher: { ...parameters.symcipher, unique: TPM2B_DIGEST },
};

/** A type of object and its parameters, without a key (Part 2, 12.2.3.9). */
export const TPMT_PUBLIC_PARMS = tagged('TPMT_PUBLIC_PARMS', {
  selector: { type: TPMI_ALG_PUBLIC },
  shared: {},
  variants: parameters,
});

/** What TPM2_ECC_Parameters tells of a curve (Part 2, 11.2.5.6). */
export const TPMS_ALGORITHM_DETAIL_ECC = struct('TPMS_ALGORITHM_DETAIL_ECC', {
  curveID: TPMI_ECC_CURVE,
  keySize: uint16,
  kdf: TPMT_KDF_SCHEME,
  sign: TPMT_ECC_SCHEME,
  p: TPM2B_ECC_PARAMETER,
  a: TPM2B_ECC_PARAMETER,
  b: TPM2B_ECC_PARAMETER,
  gX: TPM2B_ECC_PARAMETER,
  gY: TPM2B_ECC_PARAMETER,
  n: TPM2B_ECC_PARAMETER,
  h: TPM2B_ECC_PARAMETER,
});

/** `{ type: 'ecc', nameAlg: 'sha256', objectAttributes: { fixedTPM: true, … }, …, unique: { x, y } }` */
export const TPMT_PUBLIC = tagged('TPMT_PUBLIC', {
  selector: { type: TPMI_ALG_PUBLIC },
  shared: { nameAlg: TPMI_ALG_HASH_NULL, objectAttributes: TPMA_OBJECT, authPolicy: TPM2B_DIGEST },
  variants,
});
export type TPMT_PUBLIC = TypeOf<typeof TPMT_PUBLIC>;
export const TPM2B_PUBLIC = sized('TPM2B_PUBLIC', 'publicArea', TPMT_PUBLIC);

/** What a key is derived with (11.1.14). */
export const TPM2B_LABEL = tpm2b('TPM2B_LABEL', 32);
export const TPMS_DERIVE = struct('TPMS_DERIVE', { label: TPM2B_LABEL, context: TPM2B_LABEL });
export type TPMS_DERIVE = TypeOf<typeof TPMS_DERIVE>;

const templateFields = { nameAlg: TPMI_ALG_HASH, objectAttributes: TPMA_OBJECT, authPolicy: TPM2B_DIGEST };

/** What is in a TPM2B_TEMPLATE (12.2.6): a public area that has a Name, */
export const TPMT_TEMPLATE = tagged('TPMT_TEMPLATE', {
  selector: { type: TPMI_ALG_PUBLIC },
  shared: templateFields,
  variants,
});
/** or one whose place for the key says how it is derived. */
export const TPMT_TEMPLATE_DERIVED = tagged('TPMT_TEMPLATE', {
  selector: { type: TPMI_ALG_PUBLIC },
  shared: templateFields,
  variants: {
    rsa: { ...parameters.rsa, unique: TPMS_DERIVE },
    ecc: { ...parameters.ecc, unique: TPMS_DERIVE },
    keyedhash: { ...parameters.keyedhash, unique: TPMS_DERIVE },
    symcipher: { ...parameters.symcipher, unique: TPMS_DERIVE },
  },
});

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
