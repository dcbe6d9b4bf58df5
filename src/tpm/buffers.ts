/** Sized buffers, digests and lists: TPM 2.0 Part 2, 10.3, 10.4 and 10.9. */
import { digestInfo } from '../bytes/index.ts';
import { TPMA_CC } from './attributes.ts';
import { type Codec, list, named, type TypeOf, tpm2b, uint16, uint32 } from './codec.ts';
import { TPM_HANDLE, TPMI_ALG_HASH, TPMI_ALG_HASH_NULL } from './constants.ts';
import { TpmError } from './errors.ts';

// --- sized buffers (10.4). Bounds: the largest of the PC Client profile and of libtpms -------------------------------

export const TPM2B_DIGEST = tpm2b('TPM2B_DIGEST', 64);
/** At most sizeof(TPMT_HA). */
export const TPM2B_DATA = tpm2b('TPM2B_DATA', 66);
export const TPM2B_NONCE = named('TPM2B_NONCE', TPM2B_DIGEST);
export const TPM2B_AUTH = named('TPM2B_AUTH', TPM2B_DIGEST);
export const TPM2B_OPERAND = named('TPM2B_OPERAND', TPM2B_DIGEST);
export const TPM2B_EVENT = tpm2b('TPM2B_EVENT', 1024);
export const TPM2B_MAX_BUFFER = tpm2b('TPM2B_MAX_BUFFER', 1024);
/** libtpms takes 1024 (TPM_PT.NV_BUFFER_MAX); hardware up to 2048. */
export const TPM2B_MAX_NV_BUFFER = tpm2b('TPM2B_MAX_NV_BUFFER', 2048);
export const TPM2B_TIMEOUT = tpm2b('TPM2B_TIMEOUT', 8);
export const TPM2B_IV = tpm2b('TPM2B_IV', 16);
/** A handle (4 bytes), or a hash algorithm and a digest. */
export const TPM2B_NAME = tpm2b('TPM2B_NAME', 66);
export const TPM2B_ENCRYPTED_SECRET = tpm2b('TPM2B_ENCRYPTED_SECRET', 512);
/** MAX_SYM_DATA: why a sealed secret has at most 128 bytes. */
export const TPM2B_SENSITIVE_DATA = tpm2b('TPM2B_SENSITIVE_DATA', 128);
/** What the TPM wraps is its own business: opaque to everybody else. */
export const TPM2B_PRIVATE = tpm2b('TPM2B_PRIVATE', 2048);
export const TPM2B_CONTEXT_DATA = tpm2b('TPM2B_CONTEXT_DATA', 5120);
/** A marshalled TPMT_PUBLIC, left as bytes. */
export const TPM2B_TEMPLATE = tpm2b('TPM2B_TEMPLATE', 1024);
/** A marshalled TPMS_ATTEST, left as bytes: the signature is over exactly these. `decode(TPMS_ATTEST, …)` opens it. */
export const TPM2B_ATTEST = tpm2b('TPM2B_ATTEST', 2304);
/** A marshalled TPMS_ID_OBJECT, whose second half is encrypted. */
export const TPM2B_ID_OBJECT = tpm2b('TPM2B_ID_OBJECT', 132);

// --- digests and lists (10.3, 10.9) -----------------------------------------------------------------------------------

/** A digest whose length is its algorithm's: TPMT_HA writes no size. */
export const TPMT_HA: Codec<{ readonly hashAlg: TPMI_ALG_HASH; readonly digest: Uint8Array }> = {
  name: 'TPMT_HA',
  shape: { kind: 'own' },
  read(reader) {
    const hashAlg = TPMI_ALG_HASH.read(reader);
    return { hashAlg, digest: new Uint8Array(reader.bytes(digestInfo(hashAlg).size, 'digest')) };
  },
  write(writer, { hashAlg, digest }) {
    const { size } = digestInfo(hashAlg);
    if (digest.length !== size)
      throw new TpmError('tpm.argument', `${hashAlg} has ${size} bytes, not ${digest.length}`);
    TPMI_ALG_HASH.write(writer, hashAlg);
    writer.bytes(digest);
  },
};
export type TPMT_HA = TypeOf<typeof TPMT_HA>;

export const TPML_DIGEST = list('TPML_DIGEST', TPM2B_DIGEST, 8);
/** As a parameter a TPML_DIGEST has two elements or more (Part 2, 10.9.3): with one there is nothing to choose. */
export const TPML_DIGEST_CHOICE = list('TPML_DIGEST', TPM2B_DIGEST, 8, 2);
export const TPML_DIGEST_VALUES = list('TPML_DIGEST_VALUES', TPMT_HA, 16);
/** With the null algorithm there is no digest. */
export const TPMT_HA_NULL: Codec<TPMT_HA | { readonly hashAlg: 'null' }> = {
  name: 'TPMT_HA+',
  shape: { kind: 'own' },
  read(reader) {
    const hashAlg = TPMI_ALG_HASH_NULL.read(reader);
    if (hashAlg === 'null') return { hashAlg };
    return { hashAlg, digest: new Uint8Array(reader.bytes(digestInfo(hashAlg).size, 'digest')) };
  },
  write(writer, value) {
    if (value.hashAlg === 'null') TPMI_ALG_HASH_NULL.write(writer, value.hashAlg);
    else TPMT_HA.write(writer, value);
  },
};

/** TPM_CC as numbers: a TPM may implement commands that this table does not know. */
export const TPM_CC_NUMBER: Codec<number> = named('TPM_CC', uint32);
export const TPML_CC = list('TPML_CC', TPM_CC_NUMBER, 256);
export const TPML_CCA = list('TPML_CCA', TPMA_CC, 256);
/** Numbers, for the same reason. */
export const TPML_ALG = list('TPML_ALG', named('TPM_ALG_ID', uint16), 128);
export const TPML_HANDLE = list('TPML_HANDLE', TPM_HANDLE, 254);
