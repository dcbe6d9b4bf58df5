/**
 * The messages between agent and server, all CBOR. Enrolment takes two round trips, attestation one:
 *
 *     agent                                   server
 *     EnrolmentRequest   ── join token ──►    checks EK chain and AK, makes a credential
 *                        ◄── EnrolmentChallenge
 *     ActivationRequest  ──►                  the credential came back: EK and AK are in one TPM
 *                        ◄── EnrolmentAnswer  (token, first challenge)
 *     Evidence           ── bearer token ──►  verify
 *                        ◄── EvidenceAnswer   (verdict, next challenge)
 *
 * Tokens travel in the Authorization header, except the one that the enrolment hands out.
 */
import type { Challenge, Measurer, PcrBank, TpmKind } from './types.ts';

export interface EnrolmentRequest {
  readonly version: 1;
  /** As the host calls itself: shown to people, never an identity. */
  readonly hostName: string;
  readonly tpmKind: TpmKind;
  readonly measurer: Measurer;
  /** X.509 in DER: the EK's certificate first, then what the TPM or the maker gives of its chain. */
  readonly ekCertificates: readonly Uint8Array[];
  /** TPMT_PUBLIC; the key that the server uses is the certificate's, this one must equal it. */
  readonly ekPublic: Uint8Array;
  /** TPMT_PUBLIC. */
  readonly akPublic: Uint8Array;
  /** The bank that the host proposes. */
  readonly bank: PcrBank;
  /** The banks whose PCRs are allocated. */
  readonly availableBanks: readonly PcrBank[];
}

export interface EnrolmentChallenge {
  readonly enrolmentId: string;
  /** TPM2B_ID_OBJECT. */
  readonly credentialBlob: Uint8Array;
  /** TPM2B_ENCRYPTED_SECRET. */
  readonly secret: Uint8Array;
}

export interface ActivationRequest {
  readonly enrolmentId: string;
  /** What TPM2_ActivateCredential gave, without its size. A secret until the server has seen it. */
  readonly credential: Uint8Array;
}

export interface EnrolmentAnswer {
  readonly hostId: string;
  /** The host's bearer token. A secret. */
  readonly token: string;
  readonly challenge: Challenge;
}

/** Worst first when several findings meet: untrusted, unknown, warning, trusted. */
export type Verdict = 'trusted' | 'warning' | 'untrusted' | 'unknown';

/** A finding on its way to those who read it; its code is one of `verify`'s table, of the server's version. */
export interface ReportedFinding {
  readonly code: string;
  readonly subject: string;
  readonly message: string;
}

export interface EvidenceAnswer {
  /** Undefined: no new verdict (the list was behind the quote, or more must be sent). */
  readonly verdict: Verdict | undefined;
  /** The worst findings, bounded; the server keeps them all. */
  readonly findings: readonly ReportedFinding[];
  /** IMA entries that this boot's quotes cover. */
  readonly measured: number;
  readonly next: Challenge;
  /** Answer `next` at once instead of at the next interval. */
  readonly retry: boolean;
  /** Milliseconds after which the server expects the next evidence, where nothing happens before. */
  readonly intervalMs: number;
}
