/** What a TPM attests: TPM 2.0 Part 2, 10.11 and 10.12. */
import { TPM2B_DATA, TPM2B_DIGEST, TPM2B_MAX_NV_BUFFER, TPM2B_NAME } from './buffers.ts';
import { magic, oneOf, struct, type TypeOf, tagged, uint16, uint32, uint64 } from './codec.ts';
import { TPM_ALG_ID, TPM_GENERATED, TPM_ST, TPMI_YES_NO } from './constants.ts';
import { TPML_PCR_SELECTION } from './pcr-selection.ts';
import { TPM_RC } from './response-codes.ts';

export const TPMS_CLOCK_INFO = struct('TPMS_CLOCK_INFO', {
  /** Milliseconds that the TPM was powered, ever since its last Clear. */
  clock: uint64,
  resetCount: uint32,
  restartCount: uint32,
  /** No value of `clock` as high as this was reported before. */
  safe: TPMI_YES_NO,
});
export type TPMS_CLOCK_INFO = TypeOf<typeof TPMS_CLOCK_INFO>;

export const TPMS_TIME_INFO = struct('TPMS_TIME_INFO', {
  /** Milliseconds since the TPM's last _TPM_Init. */
  time: uint64,
  clockInfo: TPMS_CLOCK_INFO,
});
export type TPMS_TIME_INFO = TypeOf<typeof TPMS_TIME_INFO>;

export const TPMS_CERTIFY_INFO = struct('TPMS_CERTIFY_INFO', { name: TPM2B_NAME, qualifiedName: TPM2B_NAME });
export const TPMS_CREATION_INFO = struct('TPMS_CREATION_INFO', { objectName: TPM2B_NAME, creationHash: TPM2B_DIGEST });
export const TPMS_QUOTE_INFO = struct('TPMS_QUOTE_INFO', { pcrSelect: TPML_PCR_SELECTION, pcrDigest: TPM2B_DIGEST });
export const TPMS_COMMAND_AUDIT_INFO = struct('TPMS_COMMAND_AUDIT_INFO', {
  auditCounter: uint64,
  digestAlg: TPM_ALG_ID,
  auditDigest: TPM2B_DIGEST,
  commandDigest: TPM2B_DIGEST,
});
export const TPMS_SESSION_AUDIT_INFO = struct('TPMS_SESSION_AUDIT_INFO', {
  exclusiveSession: TPMI_YES_NO,
  sessionDigest: TPM2B_DIGEST,
});
export const TPMS_TIME_ATTEST_INFO = struct('TPMS_TIME_ATTEST_INFO', { time: TPMS_TIME_INFO, firmwareVersion: uint64 });
export const TPMS_NV_CERTIFY_INFO = struct('TPMS_NV_CERTIFY_INFO', {
  indexName: TPM2B_NAME,
  offset: uint16,
  nvContents: TPM2B_MAX_NV_BUFFER,
});
export const TPMS_NV_DIGEST_CERTIFY_INFO = struct('TPMS_NV_DIGEST_CERTIFY_INFO', {
  indexName: TPM2B_NAME,
  nvDigest: TPM2B_DIGEST,
});

export const TPMI_ST_ATTEST = oneOf('TPMI_ST_ATTEST', uint16, TPM_RC.SELECTOR, {
  nv: TPM_ST.ATTEST_NV,
  command_audit: TPM_ST.ATTEST_COMMAND_AUDIT,
  session_audit: TPM_ST.ATTEST_SESSION_AUDIT,
  certify: TPM_ST.ATTEST_CERTIFY,
  quote: TPM_ST.ATTEST_QUOTE,
  time: TPM_ST.ATTEST_TIME,
  creation: TPM_ST.ATTEST_CREATION,
  nv_digest: TPM_ST.ATTEST_NV_DIGEST,
});

/** `{ type: 'quote', extraData, clockInfo, …, attested: { pcrSelect, pcrDigest } }`; the magic is checked, not shown. */
export const TPMS_ATTEST = tagged('TPMS_ATTEST', {
  before: magic('magic', uint32, TPM_GENERATED, TPM_RC.VALUE),
  selector: { type: TPMI_ST_ATTEST },
  shared: {
    qualifiedSigner: TPM2B_NAME,
    /** The challenger's nonce. */
    extraData: TPM2B_DATA,
    clockInfo: TPMS_CLOCK_INFO,
    firmwareVersion: uint64,
  },
  variants: {
    nv: { attested: TPMS_NV_CERTIFY_INFO },
    command_audit: { attested: TPMS_COMMAND_AUDIT_INFO },
    session_audit: { attested: TPMS_SESSION_AUDIT_INFO },
    certify: { attested: TPMS_CERTIFY_INFO },
    quote: { attested: TPMS_QUOTE_INFO },
    time: { attested: TPMS_TIME_ATTEST_INFO },
    creation: { attested: TPMS_CREATION_INFO },
    nv_digest: { attested: TPMS_NV_DIGEST_CERTIFY_INFO },
  },
});
export type TPMS_ATTEST = TypeOf<typeof TPMS_ATTEST>;
/** The attestation of a quote, after `type === 'quote'`. */
export type QuoteAttestation = Extract<TPMS_ATTEST, { type: 'quote' }>;
