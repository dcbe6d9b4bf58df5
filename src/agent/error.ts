import { AssayError, type ExitCode } from '../bytes/index.ts';

export type AgentErrorCode =
  /** PCR 10 holds something that no part of the agent's measurement list replays to. */
  | 'agent.list-contradicts-pcr'
  /** A hardware TPM is extended only where that was asked for. */
  | 'agent.extend-not-allowed'
  /** The measuring process ended by itself, or could go on with nothing. */
  | 'agent.measurer-failed'
  /** A log that is there cannot be read. */
  | 'agent.log-unreadable'
  /** The server's address is no address, or plain HTTP to another machine. */
  | 'agent.server-address'
  | 'agent.server-unreachable'
  /** The server's certificate is not the pinned one. */
  | 'agent.server-untrusted'
  /** The server answered with a refusal of its closed table. */
  | 'agent.refused'
  /** The kept enrolment cannot be read. */
  | 'agent.enrolment-unreadable'
  /** The TPM has no PCR bank that Assay knows. */
  | 'agent.no-bank'
  /** The PCRs never stood still for a quote, and no list explains what it is over. */
  | 'agent.pcrs-moving'
  /** Attestation after attestation gave no verdict. */
  | 'agent.no-verdict'
  /** The host is not enrolled, and no join token was given. */
  | 'agent.no-join-token'
  /** The time between two attestations is no time. */
  /** The TPM refuses the attestation key that is kept. */
  | 'agent.key-refused'
  /** The enrolment that is kept is another TPM's. */
  | 'agent.other-tpm'
  | 'agent.interval';

const EXIT: Readonly<Record<AgentErrorCode, ExitCode>> = {
  'agent.list-contradicts-pcr': 3,
  'agent.extend-not-allowed': 2,
  'agent.measurer-failed': 3,
  'agent.log-unreadable': 3,
  'agent.server-address': 2,
  'agent.server-unreachable': 3,
  'agent.server-untrusted': 3,
  'agent.refused': 3,
  'agent.enrolment-unreadable': 2,
  'agent.no-bank': 3,
  'agent.pcrs-moving': 3,
  'agent.no-verdict': 3,
  'agent.no-join-token': 2,
  'agent.key-refused': 3,
  'agent.other-tpm': 2,
  'agent.interval': 2,
};

/** What kept the agent from measuring or collecting. */
export class AgentError extends AssayError {
  readonly code: AgentErrorCode;

  constructor(code: AgentErrorCode, message: string, options: { advice?: string; cause?: unknown } = {}) {
    super(message, { ...options, exitCode: EXIT[code] });
    this.code = code;
  }
}

/** The code of a refused system call (`ENOENT`); undefined for every other error. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
