/** What this TPM implements of what `src/tpm` declares, as its unmarshalling refuses the rest. */
import { type Profile, TPM_HT } from '../../tpm/index.ts';
import { HASHES, MAX_ACTIVE_SESSIONS, MAX_TRANSIENT, NV_BUFFER_MAX, PCR_COUNT, RSA_KEY_BITS } from './limits.ts';

const CIPHERS = ['aes', 'camellia', 'tdes'];

function values(...entries: readonly (readonly [type: string, names: readonly string[]])[]): Profile['values'] {
  return new Map(entries.map(([type, names]) => [type, new Set(names)]));
}

/** Bytes of the largest RSA modulus. */
const MAX_RSA = 384;

export const PROFILE: Profile = {
  values: values(
    ['TPMI_ALG_HASH', HASHES],
    ['TPMI_ALG_HASH+', [...HASHES, 'null']],
    ['TPMI_ALG_MAC_SCHEME+', [...HASHES, 'cmac', 'null']],
    ['TPMI_ALG_SYM+', [...CIPHERS, 'xor', 'null']],
    ['TPMI_ALG_SYM_OBJECT', CIPHERS],
    ['TPMI_ALG_SYM_OBJECT+', [...CIPHERS, 'null']],
  ),
  numbers: new Map([
    ['TPMI_RSA_KEY_BITS', new Set(RSA_KEY_BITS)],
    ['TPMI_AES_KEY_BITS', new Set([128, 256])],
    ['TPMI_CAMELLIA_KEY_BITS', new Set([128, 256])],
    ['TPMI_TDES_KEY_BITS', new Set([128, 192])],
  ]),
  maxima: new Map([
    ['TPM2B_MAX_NV_BUFFER', NV_BUFFER_MAX],
    ['TPM2B_PUBLIC_KEY_RSA', MAX_RSA],
    ['TPM2B_PRIVATE_KEY_RSA', MAX_RSA / 2],
    ['TPM2B_ENCRYPTED_SECRET', MAX_RSA],
    // sizeof(_PRIVATE), sizeof(TPMS_CONTEXT_DATA) and sizeof(TPMT_PUBLIC) of a TPM with RSA-3072
    ['TPM2B_PRIVATE', 1230],
    ['TPM2B_CONTEXT_DATA', 2748],
    ['TPM2B_TEMPLATE', 484],
    ['TPML_PCR_SELECTION', HASHES.length],
    ['TPMS_PCR_SELECT', PCR_COUNT / 8],
    ['TPML_DIGEST_VALUES', HASHES.length],
    ['TPML_CC', 254],
    ['TPML_ALG', 64],
  ]),
  handles: new Map<number, number>([
    [TPM_HT.PCR, PCR_COUNT],
    [TPM_HT.HMAC_SESSION, MAX_ACTIVE_SESSIONS],
    [TPM_HT.POLICY_SESSION, MAX_ACTIVE_SESSIONS],
    [TPM_HT.TRANSIENT, MAX_TRANSIENT],
  ]),
};
