/** What every part of a running server shares. Made once by `startServer`; there is no other state. */
import type { Logger } from 'pino';
import type { EvidenceRequest, PcrBank } from '../evidence/index.ts';
import type { CompiledReference, ReferenceManifest } from '../reference/index.ts';
import type { AttestationResult, Enrolment, HostState, VerifyInput } from '../verify/index.ts';
import type { EnrolmentTpm } from './enrolment-tpm.ts';
import type { Intake } from './intake.ts';
import type { Live } from './live.ts';
import type { OpenStreams } from './open-streams.ts';
import type { ReferenceCache } from './reference-cache.ts';
import type { Store } from './store/store.ts';

/** The judgement, handed in: the server stores and serves what these pure functions say. */
export interface Judgement {
  verify(input: VerifyInput): AttestationResult;
  /** What to ask for next, from what the verifier holds. */
  requestFor(
    state: HostState | undefined,
    enrolment: Enrolment,
    reference: CompiledReference | undefined,
    now: number,
  ): EvidenceRequest;
  /** Every value checked. @throws {AssayError} where it is no manifest */
  parseReference(value: unknown): ReferenceManifest;
  compileReference(manifest: ReferenceManifest): CompiledReference;
}

export interface Settings {
  /** Milliseconds between two attestations of a host. */
  readonly intervalMs: number;
  /** After so many missed intervals a host is silent. */
  readonly missedIntervals: number;
  /** Bytes of one piece of evidence. */
  readonly maxEvidenceBytes: number;
  /** Requests a second that one caller may make on average. */
  readonly requestsPerSecond: number;
  /** PCRs that every host quotes. */
  readonly pcrs: readonly number[];
  /** Banks that are strong enough. */
  readonly banks: readonly PcrBank[];
  /** The reference that newly enrolled hosts are judged by; left out: none, until a person gives one. */
  readonly defaultReference: string | undefined;
}

export interface ServerContext {
  readonly store: Store;
  readonly settings: Settings;
  readonly judgement: Judgement;
  readonly tpm: EnrolmentTpm;
  readonly references: ReferenceCache;
  readonly live: Live;
  readonly intake: Intake;
  readonly streams: OpenStreams;
  readonly log: Logger;
  /** The server's clock, ms since the epoch. */
  readonly now: () => number;
}
