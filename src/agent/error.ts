import { AssayError, type ExitCode } from '../bytes/index.ts';

export type AgentErrorCode =
  /** PCR 10 holds something that no part of the agent's measurement list replays to. */
  | 'agent.list-contradicts-pcr'
  /** A hardware TPM is extended only where that was asked for. */
  | 'agent.extend-not-allowed'
  /** The measuring thread ended by itself. */
  | 'agent.measurer-failed'
  /** A log that is there cannot be read. */
  | 'agent.log-unreadable';

const EXIT: Readonly<Record<AgentErrorCode, ExitCode>> = {
  'agent.list-contradicts-pcr': 3,
  'agent.extend-not-allowed': 2,
  'agent.measurer-failed': 3,
  'agent.log-unreadable': 3,
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
