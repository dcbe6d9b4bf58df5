/** Symmetric algorithms and schemes: TPM 2.0 Part 2, 11.1.6–7, 11.1.20–23, 11.2.1–3. */
import { type Codec, struct, type TypeOf, tagged, uint16 } from './codec.ts';
import {
  TPMI_AES_KEY_BITS,
  TPMI_ALG_ECC_SCHEME,
  TPMI_ALG_HASH,
  TPMI_ALG_KDF,
  TPMI_ALG_KEYEDHASH_SCHEME,
  TPMI_ALG_RSA_DECRYPT,
  TPMI_ALG_RSA_SCHEME,
  TPMI_ALG_SIG_SCHEME_NULL,
  TPMI_ALG_SYM,
  TPMI_ALG_SYM_MODE,
  TPMI_ALG_SYM_OBJECT,
  TPMI_ALG_SYM_OBJECT_NULL,
  TPMI_CAMELLIA_KEY_BITS,
  TPMI_SM4_KEY_BITS,
  TPMI_TDES_KEY_BITS,
} from './constants.ts';

const cipher = (keyBits: Codec<number>) => ({ keyBits, mode: TPMI_ALG_SYM_MODE });
const ciphers = {
  aes: cipher(TPMI_AES_KEY_BITS),
  sm4: cipher(TPMI_SM4_KEY_BITS),
  camellia: cipher(TPMI_CAMELLIA_KEY_BITS),
  tdes: cipher(TPMI_TDES_KEY_BITS),
};
const hash = { hashAlg: TPMI_ALG_HASH };
const none = {};

/** `{ algorithm: 'aes', keyBits: 128, mode: 'cfb' }` */
export const TPMT_SYM_DEF = tagged('TPMT_SYM_DEF+', {
  selector: { algorithm: TPMI_ALG_SYM },
  shared: {},
  variants: { ...ciphers, xor: hash, null: none },
});
export type TPMT_SYM_DEF = TypeOf<typeof TPMT_SYM_DEF>;

export const TPMT_SYM_DEF_OBJECT = tagged('TPMT_SYM_DEF_OBJECT', {
  selector: { algorithm: TPMI_ALG_SYM_OBJECT },
  shared: {},
  variants: ciphers,
});
export type TPMT_SYM_DEF_OBJECT = TypeOf<typeof TPMT_SYM_DEF_OBJECT>;
export const TPMT_SYM_DEF_OBJECT_NULL = tagged('TPMT_SYM_DEF_OBJECT+', {
  selector: { algorithm: TPMI_ALG_SYM_OBJECT_NULL },
  shared: {},
  variants: { ...ciphers, null: none },
});
export type TPMT_SYM_DEF_OBJECT_NULL = TypeOf<typeof TPMT_SYM_DEF_OBJECT_NULL>;

export const TPMS_SYMCIPHER_PARMS = struct('TPMS_SYMCIPHER_PARMS', { sym: TPMT_SYM_DEF_OBJECT });

export const TPMT_KEYEDHASH_SCHEME = tagged('TPMT_KEYEDHASH_SCHEME+', {
  selector: { scheme: TPMI_ALG_KEYEDHASH_SCHEME },
  shared: {},
  variants: { hmac: hash, xor: { hashAlg: TPMI_ALG_HASH, kdf: TPMI_ALG_KDF }, null: none },
});
export type TPMT_KEYEDHASH_SCHEME = TypeOf<typeof TPMT_KEYEDHASH_SCHEME>;

const ecdaa = { hashAlg: TPMI_ALG_HASH, count: uint16 };

/** `{ scheme: 'rsassa', hashAlg: 'sha256' }`; `{ scheme: 'null' }` takes the key's own. */
export const TPMT_SIG_SCHEME = tagged('TPMT_SIG_SCHEME+', {
  selector: { scheme: TPMI_ALG_SIG_SCHEME_NULL },
  shared: {},
  variants: {
    rsassa: hash,
    rsapss: hash,
    ecdsa: hash,
    sm2: hash,
    ecschnorr: hash,
    ecdaa,
    hmac: hash,
    null: none,
  },
});
export type TPMT_SIG_SCHEME = TypeOf<typeof TPMT_SIG_SCHEME>;

export const TPMT_RSA_SCHEME = tagged('TPMT_RSA_SCHEME+', {
  selector: { scheme: TPMI_ALG_RSA_SCHEME },
  shared: {},
  variants: { rsassa: hash, rsapss: hash, rsaes: none, oaep: hash, null: none },
});
export type TPMT_RSA_SCHEME = TypeOf<typeof TPMT_RSA_SCHEME>;

export const TPMT_RSA_DECRYPT = tagged('TPMT_RSA_DECRYPT+', {
  selector: { scheme: TPMI_ALG_RSA_DECRYPT },
  shared: {},
  variants: { rsaes: none, oaep: hash, null: none },
});
export type TPMT_RSA_DECRYPT = TypeOf<typeof TPMT_RSA_DECRYPT>;

export const TPMT_ECC_SCHEME = tagged('TPMT_ECC_SCHEME+', {
  selector: { scheme: TPMI_ALG_ECC_SCHEME },
  shared: {},
  variants: { ecdsa: hash, sm2: hash, ecschnorr: hash, ecdaa, ecdh: hash, ecmqv: hash, null: none },
});
export type TPMT_ECC_SCHEME = TypeOf<typeof TPMT_ECC_SCHEME>;

export const TPMT_KDF_SCHEME = tagged('TPMT_KDF_SCHEME+', {
  selector: { scheme: TPMI_ALG_KDF },
  shared: {},
  variants: { mgf1: hash, kdf1_sp800_56a: hash, kdf2: hash, kdf1_sp800_108: hash, null: none },
});
export type TPMT_KDF_SCHEME = TypeOf<typeof TPMT_KDF_SCHEME>;
