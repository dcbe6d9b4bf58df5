import type { DigestAlgorithm } from '../bytes/index.ts';

/** One digest of an event. */
export interface EventDigest {
  /** TPM_ALG_ID as the log gives it. */
  readonly tpmAlg: number;
  /** Undefined where Assay cannot compute this algorithm: carried, listed, never replayed. */
  readonly algorithm: DigestAlgorithm | undefined;
  readonly value: Uint8Array;
}

/** TCG_PCR_EVENT or TCG_PCR_EVENT2 (TCG PC Client Platform Firmware Profile, "Event Logging"). */
export interface BootEvent {
  /** Position in the log, from 0; the Spec ID event counts. */
  readonly index: number;
  /** Byte offset in the log. */
  readonly offset: number;
  /** 0–23, or in a record that is in no PCR: 0xFFFFFFFF (Windows appends such), 255 (TXT's type 0x401). */
  readonly pcr: number;
  readonly type: number;
  readonly digests: readonly EventDigest[];
  /** The event's payload: **not vouched for** by any PCR unless `digestMatchesPayload` says so. */
  readonly data: Uint8Array;
}

/** TCG_EfiSpecIDEvent, the first event of a crypto-agile log. */
export interface SpecId {
  readonly platformClass: number;
  readonly versionMajor: number;
  readonly versionMinor: number;
  readonly errata: number;
  /** Size of the firmware's UINTN as the log gives it: 1 for 4 bytes, 2 for 8. */
  readonly uintnSize: number;
  /** Every algorithm of the log's banks, in the log's order. */
  readonly algorithms: readonly { readonly tpmAlg: number; readonly size: number }[];
  readonly vendorInfo: Uint8Array;
}

export interface BootLog {
  readonly format: 'sha1' | 'agile';
  /** Absent in the SHA-1 format. */
  readonly specId: SpecId | undefined;
  readonly events: readonly BootEvent[];
  /** Bytes of padding (all 00 or all FF) after the last event. */
  readonly padding: number;
}

/** Replayed values in lower-case hex, by bank and PCR number; only PCRs that an event extended. */
export type ReplayedPcrs = { readonly [bank in DigestAlgorithm]?: Readonly<Record<string, string>> };
