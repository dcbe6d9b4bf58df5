/** The verifier's vocabulary. `verify` is a pure function of these values: no I/O, no clock, no randomness. */
import type { Assurance, Evidence, Measurer, PcrSelection, Verdict } from '../evidence/index.ts';
import type { ReplayState } from '../ima/index.ts';
import type { CompiledReference } from '../reference/index.ts';
import type { FindingCode } from './findings.ts';

export type { Verdict } from '../evidence/index.ts';

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
  /** Undefined where only the key is known (`verify --ak`): nobody vouches for the kernel, so it counts as user space. */
  readonly measurer: Measurer | undefined;
  /** Undefined where only the key is known: nobody has said what kind of TPM holds it. */
  readonly assurance: Assurance | undefined;
}

/** Findings that stay, bounded: beyond the bound they are counted by code, and never forgotten. */
export interface StandingFindings {
  readonly items: readonly Finding[];
  readonly more: Readonly<Record<string, number>>;
}

/** What one boot's quotes have vouched for so far. */
export interface BootState {
  /** The TPM's counters at the last verified quote, and the verifier's time when it came. */
  readonly resetCount: number;
  readonly restartCount: number;
  /** Milliseconds that the TPM has counted. */
  readonly clock: number;
  readonly clockSeenAt: number;
  /** This boot's firmware log: its SHA-256 and what it replays to (PCR → hex, in the enrolled bank). */
  readonly bootLog?: { readonly sha256: string; readonly pcrs: Readonly<Record<string, string>> };
  /** The IMA list up to the last quote. */
  readonly ima: ReplayState;
  /** The user-space boot log: bytes covered. */
  readonly userspaceLogOffset: number;
  /** Findings on this boot's log and entries; they stay until reboot or until another reference judges again. */
  readonly findings: { readonly boot: StandingFindings; readonly ima: StandingFindings };
  /** Identity of the reference that judged them, and whether its deadline had passed then. */
  readonly referenceId?: string;
  readonly referenceExpired: boolean;
}

/** What was replayed of a list that has not reached a quoted PCR 10 yet. Nothing of it is proven; no verdict shows it. */
export interface UnprovenReplay {
  /** The TPM's counters at the quote that it came with: parts of one boot only belong together. */
  readonly resetCount: number;
  readonly restartCount: number;
  /** The verifier's time when the first part came. */
  readonly since: number;
  /** Where it began: 0, or the end of what was proven before. */
  readonly firstByte: number;
  readonly ima: ReplayState;
  readonly findings: StandingFindings;
  /** As in {@link BootState}. */
  readonly referenceId?: string;
  readonly referenceExpired: boolean;
}

/** What the verifier remembers of a host between two attestations; plain data (JSON), stored by the caller as it is. */
export interface HostState {
  readonly version: 1;
  /** What the state belongs to: SHA-256 over the enrolled AK and bank. Another enrolment begins anew. */
  readonly binding: string;
  /** Absent until a quote was verified with its list. */
  readonly boot?: BootState;
  /** Where the next part of the list goes on; absent where the list is not coming in parts. */
  readonly unproven?: UnprovenReplay;
  /** How many times since the last verdict the list has neither reached the quoted PCR 10 nor come on by a part. */
  readonly behind: number;
  /** The next request asks for everything of this boot again. */
  readonly fromStart: boolean;
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
  /** No challenge can follow (evidence in a file): a list behind its quote is judged at once. */
  readonly lastAttempt?: boolean;
}

export interface AttestationResult {
  /** Undefined: this evidence gives no new verdict (the list is behind the quote, comes in parts, or more must be sent); challenge again at once. */
  readonly verdict: Verdict | undefined;
  /** Quote, log and list verified, whatever was judged of what they say; where not, the state has not moved on. */
  readonly verified: boolean;
  readonly assurance: Assurance | undefined;
  readonly findings: readonly Finding[];
  /** The state to store, from which `requestFor` makes the next request; where verification failed, what it holds of the boot is unchanged. */
  readonly state: HostState | undefined;
  /** IMA entries that the quotes of this boot cover. */
  readonly measured: number;
}
