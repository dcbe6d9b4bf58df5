/**
 * The tables, as kysely sees them. Times are milliseconds since the epoch, digests and names of keys hex text, raw
 * structures BLOBs. `migrations.ts` makes them.
 */
import type { Generated } from 'kysely';
import type { Assurance, EvidenceRequest, Measurer, PcrSelection } from '../../evidence/index.ts';
import type { ReferenceManifest } from '../../reference/index.ts';
import type { Finding, HostState, Verdict } from '../../verify/index.ts';
import type { PcrHex } from '../pcr-hex.ts';
import type { JsonText } from './json-column.ts';

export interface HostsTable {
  readonly id: string;
  /** Chosen by who enrols it; unique. */
  name: string;
  readonly created_at: number;
  /** When its last evidence came, whatever the verdict. */
  last_seen_at: number | null;
  /** 1 while evidence comes in time; 0 is `silent`. Apart from the verdict. */
  live: number;
  /** Milliseconds between two attestations, as the host was told last. */
  interval_ms: number;
  verdict: Verdict | null;
  /** When the nonce was issued whose answer gave the verdict. */
  verdict_as_of: number | null;
  findings: JsonText<readonly Finding[]>;
  /** How many those are: a page of hosts shows it, and must not parse them all. */
  finding_count: number;
  measured: number;
  reference_id: string | null;
  /** Counters from which the rings of results and challenges take their slots. */
  result_seq: number;
  challenge_seq: number;
}

/** What was fixed at enrolment. */
export interface EnrolmentsTable {
  readonly host_id: string;
  readonly ak_public: Uint8Array;
  /** Name of the AK (TPM 2.0 part 1, 16), hex. */
  readonly ak_name: string;
  /** SHA-256 of the EK's SubjectPublicKeyInfo: the TPM's identity. */
  readonly ek_id: string;
  readonly ek_certificate: Uint8Array;
  readonly selection: JsonText<PcrSelection>;
  readonly measurer: Measurer;
  readonly assurance: Assurance;
  readonly enrolled_at: number;
}

/** Enrolments that wait for the TPM to release the credential's secret. */
export interface ActivationsTable {
  readonly id: string;
  readonly join_token: string;
  readonly body: JsonText<PendingEnrolment>;
  /** SHA-256 of the secret that the credential carries. */
  readonly secret_sha256: Uint8Array;
  readonly created_at: number;
  readonly expires_at: number;
}

/** Plain data of an enrolment that was checked and not yet activated; bytes in hex. */
export interface PendingEnrolment {
  readonly hostId: string;
  readonly name: string;
  readonly akPublic: string;
  readonly akName: string;
  readonly ekId: string;
  readonly ekCertificate: string;
  readonly selection: PcrSelection;
  readonly measurer: Measurer;
  readonly assurance: Assurance;
}

/** A ring per host: a new challenge takes the place of the host's oldest, so that asking for many fills nothing. */
export interface ChallengesTable {
  readonly host_id: string;
  readonly slot: number;
  readonly nonce: Uint8Array;
  /** The AK that must sign it, by Name. */
  readonly ak_name: string;
  readonly body: JsonText<EvidenceRequest>;
  readonly issued_at: number;
  readonly expires_at: number;
  consumed_at: number | null;
}

/** The verifier's memory of a host. `version` counts up and is what compare-and-swap compares. */
export interface StatesTable {
  readonly host_id: string;
  version: number;
  body: JsonText<HostState>;
}

/** A ring per host of the last results. */
export interface ResultsTable {
  readonly host_id: string;
  readonly slot: number;
  readonly seq: number;
  readonly as_of: number;
  readonly received_at: number;
  readonly verdict: Verdict | null;
  readonly measured: number;
  readonly findings: JsonText<readonly Finding[]>;
}

/** The last evidence of each host, for people who check it themselves. */
export interface EvidenceTable {
  readonly host_id: string;
  readonly nonce: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
  /** The values that the quote covers. */
  readonly pcrs: JsonText<PcrHex>;
  readonly received_at: number;
}

/** Parts of a boot's binary IMA list that quotes covered, whole entries each. */
export interface ImaPartsTable {
  readonly host_id: string;
  /** Where the part begins in the list. */
  readonly first_byte: number;
  readonly first_entry: number;
  readonly entries: number;
  readonly bytes: Uint8Array;
}

/** This boot's firmware log, once a quote has covered it. */
export interface BootLogsTable {
  readonly host_id: string;
  readonly sha256: string;
  readonly bytes: Uint8Array;
}

export interface ReferencesTable {
  readonly id: string;
  manifest: JsonText<ReferenceManifest>;
  updated_at: number;
}

export type TokenRole = 'viewer' | 'operator' | 'admin' | 'agent' | 'join' | 'dashboard' | 'session';

/** Bearer and one-time tokens; the token itself is never stored. */
export interface TokensTable {
  /** SHA-256 of the token, hex. */
  readonly hash: string;
  readonly role: TokenRole;
  /** The only host that an agent's token speaks for. */
  readonly host_id: string | null;
  readonly label: string;
  /** For join tokens: 1 where the operator chose demonstration for that host. */
  readonly demonstration: number;
  readonly created_at: number;
  readonly expires_at: number | null;
  used_at: number | null;
}

/** What subscribers of live events are told, kept for those who come back. */
export interface EventsTable {
  readonly seq: Generated<number>;
  readonly at: number;
  readonly kind: EventKind;
  readonly host_id: string;
  readonly data: string;
}

export type EventKind = 'enrolled' | 'verdict' | 'silent' | 'live' | 'reference' | 'removed';

export interface MigrationsTable {
  readonly number: number;
  readonly applied_at: number;
}

export interface Schema {
  hosts: HostsTable;
  enrolments: EnrolmentsTable;
  activations: ActivationsTable;
  challenges: ChallengesTable;
  states: StatesTable;
  results: ResultsTable;
  evidence: EvidenceTable;
  ima_parts: ImaPartsTable;
  boot_logs: BootLogsTable;
  reference_manifests: ReferencesTable;
  tokens: TokensTable;
  events: EventsTable;
  migrations: MigrationsTable;
}
