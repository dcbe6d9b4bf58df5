/** The verifier's vocabulary. `verify` is a pure function of these values: no I/O, no clock, no randomness. */
import type { Assurance, Evidence, Measurer, PcrSelection } from '../evidence/index.ts';
import type { CompiledReference } from '../reference/index.ts';
import type { FindingCode } from './findings.ts';

/** Worst first when several findings meet: untrusted, unknown, warning, trusted. */
export type Verdict = 'trusted' | 'warning' | 'untrusted' | 'unknown';

export interface Finding {
  readonly code: FindingCode;
  /** What it is about: a file's path, `PCR 7`, `quote`. Raw: escape it where it is shown. */
  readonly subject: string;
  /** A sentence for people, with the cause and what to do. */
  readonly message: string;
  /** Where it was measured: the PCR and the number of the entry or event in its log. */
  readonly position?: { readonly log: 'boot' | 'ima' | 'userspace'; readonly index: number; readonly pcr: number };
  readonly expected?: string;
  readonly found?: string;
}

/** What was fixed when the host enrolled; nothing in evidence changes it. */
export interface Enrolment {
  readonly hostId: string;
  /** The AK's TPMT_PUBLIC, marshalled. */
  readonly akPublic: Uint8Array;
  readonly selection: PcrSelection;
  readonly measurer: Measurer;
  readonly assurance: Assurance;
}

/** What the verifier remembers of a host between two attestations; plain data, stored by the caller as it is. */
export interface HostState {
  readonly version: 1;
  /** The TPM's counters at the last verified quote, and that quote's time by the verifier's clock. */
  readonly resetCount: number;
  readonly restartCount: number;
  /** Milliseconds that the TPM has counted. */
  readonly clock: number;
  readonly clockSeenAt: number;
  /** This boot's firmware log: its SHA-256 in hex and the values it replays to (bank's PCR → hex); undefined where there is none. */
  readonly bootLog: { readonly sha256: string; readonly pcrs: Readonly<Record<string, string>> } | undefined;
  /** The IMA list up to the last quote: bytes and entries covered, and PCR 10 there in hex. */
  readonly ima: { readonly offset: number; readonly entries: number; readonly pcr: string };
  /** The user-space boot log: bytes covered. */
  readonly userspaceLogOffset: number;
  /** Findings on this boot's entries; they stay until reboot or an approved exception. */
  readonly findings: readonly Finding[];
  /** Identity of the reference that judged those entries. */
  readonly referenceId: string | undefined;
  /** How many times in a row the list has not reached the quoted PCR 10. */
  readonly behind: number;
}

export interface VerifyInput {
  readonly evidence: Evidence;
  /** Undefined where no enrolment record binds the AK: the verdict is then `unknown` with `ak.unbound`. */
  readonly enrolment: Enrolment | undefined;
  readonly reference: CompiledReference | undefined;
  readonly state: HostState | undefined;
  readonly nonce: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export interface AttestationResult {
  /** Undefined: this evidence gives no new verdict (the list is behind the quote, or more must be sent); challenge again at once. */
  readonly verdict: Verdict | undefined;
  readonly assurance: Assurance | undefined;
  readonly findings: readonly Finding[];
  /** The state to store; the given state unchanged where verification failed. */
  readonly state: HostState | undefined;
  /** IMA entries that the quotes of this boot cover. */
  readonly measured: number;
}
