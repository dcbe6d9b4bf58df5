/** Signatures and tickets: TPM 2.0 Part 2, 11.3 and 10.7. */
import { TPM2B_DIGEST, TPMT_HA } from './buffers.ts';
import { type Codec, oneOf, struct, type TypeOf, tagged } from './codec.ts';
import {
  TPM_ST,
  TPM_ST_NUMBER,
  TPMI_ALG_HASH,
  TPMI_ALG_SIG_SCHEME,
  TPMI_ALG_SIG_SCHEME_NULL,
  TPMI_RH_HIERARCHY_NULL,
} from './constants.ts';
import { TPM2B_ECC_PARAMETER, TPM2B_PUBLIC_KEY_RSA } from './public-area.ts';
import { TPM_RC } from './response-codes.ts';

const rsa = { hash: TPMI_ALG_HASH, sig: TPM2B_PUBLIC_KEY_RSA };
const ecc = { hash: TPMI_ALG_HASH, signatureR: TPM2B_ECC_PARAMETER, signatureS: TPM2B_ECC_PARAMETER };

const signatures = {
  rsassa: rsa,
  rsapss: rsa,
  ecdsa: ecc,
  sm2: ecc,
  ecschnorr: ecc,
  ecdaa: ecc,
  hmac: { hmac: TPMT_HA },
};

/** `{ sigAlg: 'ecdsa', hash: 'sha256', signatureR, signatureS }`, `{ sigAlg: 'rsassa', hash: 'sha256', sig }` */
export const TPMT_SIGNATURE = tagged('TPMT_SIGNATURE+', {
  selector: { sigAlg: TPMI_ALG_SIG_SCHEME_NULL },
  shared: {},
  variants: { ...signatures, null: {} },
});
export type TPMT_SIGNATURE = TypeOf<typeof TPMT_SIGNATURE>;

/** One that is there, as where it is to be verified. */
export const TPMT_SIGNATURE_PRESENT = tagged('TPMT_SIGNATURE', {
  selector: { sigAlg: TPMI_ALG_SIG_SCHEME },
  shared: {},
  variants: signatures,
});
export type TPMT_SIGNATURE_PRESENT = TypeOf<typeof TPMT_SIGNATURE_PRESENT>;

/** The tags differ from ticket to ticket; another structure's is answered with TPM_RC_TAG. */
function ticket<const N extends string>(name: string, tags: Readonly<Record<N, number>>) {
  return struct(name, {
    tag: oneOf('TPM_ST', TPM_ST_NUMBER, TPM_RC.TAG, tags) as Codec<N>, // N are exactly the table's keys
    hierarchy: TPMI_RH_HIERARCHY_NULL,
    digest: TPM2B_DIGEST,
  });
}

export const TPMT_TK_CREATION = ticket('TPMT_TK_CREATION', { creation: TPM_ST.CREATION });
export type TPMT_TK_CREATION = TypeOf<typeof TPMT_TK_CREATION>;
export const TPMT_TK_VERIFIED = ticket('TPMT_TK_VERIFIED', { verified: TPM_ST.VERIFIED });
export type TPMT_TK_VERIFIED = TypeOf<typeof TPMT_TK_VERIFIED>;
export const TPMT_TK_AUTH = ticket('TPMT_TK_AUTH', {
  auth_signed: TPM_ST.AUTH_SIGNED,
  auth_secret: TPM_ST.AUTH_SECRET,
});
export type TPMT_TK_AUTH = TypeOf<typeof TPMT_TK_AUTH>;
export const TPMT_TK_HASHCHECK = ticket('TPMT_TK_HASHCHECK', { hashcheck: TPM_ST.HASHCHECK });
export type TPMT_TK_HASHCHECK = TypeOf<typeof TPMT_TK_HASHCHECK>;
