/**
 * What attester, verifier and relying party exchange (RFC 9334). Every value here is a claim until `verify` has looked
 * at it; nothing in this room judges.
 */
import type { DigestAlgorithm } from '../bytes/index.ts';

/** A TPM PCR bank, named by its digest algorithm. */
export type PcrBank = Extract<DigestAlgorithm, 'sha1' | 'sha256' | 'sha384' | 'sha512' | 'sm3'>;

/** bank → PCR index → value. */
export type PcrValues = Partial<Record<PcrBank, Readonly<Record<number, Uint8Array>>>>;

export interface PcrSelection {
  readonly bank: PcrBank;
  /** Ascending, each 0–23. */
  readonly pcrs: readonly number[];
}

/** Who writes the IMA list: the kernel, or the agent where the kernel has no IMA. Fixed at enrolment. */
export type Measurer = 'kernel' | 'user-space';

/** How far the TPM behind the quote can be trusted. Fixed at enrolment, shown beside every verdict. */
export type Assurance = 'hardware' | 'swtpm' | 'demonstration';

/** Which TPM answered, as the attester names it; only the enrolment record decides the assurance. */
export type TpmKind = 'device' | 'swtpm' | 'software';

/** What the verifier asks to be sent, from what it holds already. */
export interface EvidenceRequest {
  readonly selection: PcrSelection;
  /** Send the binary IMA list from this byte offset on; 0 asks for the whole list. */
  readonly imaOffset: number;
  /** Send the firmware's log whole, or only its SHA-256 because the verifier holds this boot's log. */
  readonly bootLog: 'bytes' | 'digest';
  /** Send the user-space boot log from this byte offset on. */
  readonly userspaceLogOffset: number;
}

export interface Challenge extends EvidenceRequest {
  /** 32 bytes, bound to host and AK, used once. */
  readonly nonce: Uint8Array;
  /** Milliseconds since the epoch, by the verifier's clock: the "as of" of the verdict that answers it. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

export interface Quote {
  /** TPMS_ATTEST, as the TPM signed it. */
  readonly message: Uint8Array;
  /** TPMT_SIGNATURE. */
  readonly signature: Uint8Array;
  /** The values that the attester says the quote covers; the quote's PCR digest decides. */
  readonly pcrs: PcrValues;
}

/** A log that is written once per boot. */
export type BootLogEvidence =
  | { readonly kind: 'absent'; readonly reason: string }
  | { readonly kind: 'digest'; readonly sha256: Uint8Array }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array };

/** A log that grows: the part from `offset` to what was its end when it was read. */
export type GrowingLogEvidence =
  | { readonly kind: 'absent'; readonly reason: string }
  | { readonly kind: 'part'; readonly offset: number; readonly bytes: Uint8Array };

/**
 * What the attester's agent saw about a measured file beside its digest. Never vouched for: it only words the finding on
 * an entry that the quote covers, and is dropped where no such entry exists.
 */
export interface Observation {
  readonly path: string;
  /** `sha256:…`, equal to that of the measured entry. */
  readonly digest: string;
  readonly kind: 'deleted' | 'replaced';
  readonly processes: readonly { readonly pid: number; readonly command: string }[];
}

export interface Evidence {
  readonly version: 1;
  readonly nonce: Uint8Array;
  readonly quote: Quote;
  readonly measurer: Measurer;
  readonly bootLog: BootLogEvidence;
  readonly imaLog: GrowingLogEvidence;
  readonly userspaceLog: GrowingLogEvidence;
  readonly observations: readonly Observation[];
}
