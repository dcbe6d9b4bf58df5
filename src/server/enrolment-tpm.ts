/** What enrolment asks of the `tpm` room, as one interface, so that its rules can be tried without a TPM. */
import type { Assurance } from '../evidence/index.ts';

/** A root that the operator configured, and what a TPM that it vouches for is worth. */
export interface EkRoot {
  /** X.509, DER. */
  readonly certificate: Uint8Array;
  readonly assurance: Exclude<Assurance, 'demonstration'>;
}

export interface CheckedEk {
  /** SHA-256 of the certificate's SubjectPublicKeyInfo, hex: the TPM's identity. */
  readonly id: string;
  /** X.509, DER. */
  readonly certificate: Uint8Array;
  /** TPMT_PUBLIC made from the certificate's key and the profile's template: never what the host sent. */
  readonly publicArea: Uint8Array;
  /** What the root vouches for; undefined where the chain leads to no configured root. */
  readonly assurance: Exclude<Assurance, 'demonstration'> | undefined;
}

export interface CheckedAk {
  /** Name (TPM 2.0 part 1, 16), recomputed from the public area. */
  readonly name: Uint8Array;
}

export interface EnrolmentTpm {
  /**
   * Looks at the EK's certificate, its chain and its template.
   * @throws {ServerError} `ek.…`, except for a chain without configured root, which `assurance` tells
   */
  checkEk(certificates: readonly Uint8Array[], ekPublic: Uint8Array, now: number): CheckedEk;
  /** Looks at the AK's attributes and algorithms. @throws {ServerError} `ak.…` */
  checkAk(akPublic: Uint8Array): CheckedAk;
  /** TPM2_MakeCredential in software: only the TPM with this EK and an AK of this Name can open it. */
  makeCredential(
    ekPublic: Uint8Array,
    akName: Uint8Array,
    secret: Uint8Array,
  ): { readonly credentialBlob: Uint8Array; readonly secret: Uint8Array };
}

/** A host is its TPM: the same EK gives the same id, before and after it was removed. */
export function hostIdOf(ek: Pick<CheckedEk, 'id'>): string {
  return ek.id.slice(0, 32);
}
