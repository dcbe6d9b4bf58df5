/** What every part of a running server shares. Made once by `startServer`; there is no other state. */
import type { Logger } from 'pino';
import type { PcrBank } from '../evidence/index.ts';
import type { EnrolmentTpm } from './enrolment-tpm.ts';
import type { Intake } from './intake.ts';
import type { Judgement } from './judgement.ts';
import type { Live } from './live.ts';
import type { OpenStreams } from './open-streams.ts';
import type { ReferenceCache } from './reference-cache.ts';
import type { Store } from './store/store.ts';
import type { VerifyPool } from './verify-pool.ts';

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
  readonly verifying: VerifyPool;
  readonly tpm: EnrolmentTpm;
  readonly references: ReferenceCache;
  readonly live: Live;
  readonly intake: Intake;
  readonly streams: OpenStreams;
  readonly log: Logger;
  /** The server's clock, ms since the epoch. */
  readonly now: () => number;
}
