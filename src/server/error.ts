import { AssayError } from '../bytes/index.ts';
import { isRefusalCode, REFUSALS, type RefusalCode } from '../evidence/index.ts';

/** What the service refuses beside the protocol's own refusals (`evidence/refusals.ts`), with the HTTP status. */
const STATUS_OF = {
  'token.used': 401,
  'request.host': 421,
  'request.origin': 403,
  'request.invalid': 400,
  'request.too-large': 413,
  'request.media-type': 415,
  'request.not-found': 404,
  'host.no-evidence': 404,
  'reference.not-found': 404,
  'reference.nothing-pending': 409,
  'server.busy': 503,
  'server.stopping': 503,
  'server.verifier-died': 503,
  'server.fault': 500,
  'server.listen': 500,
  'server.control': 500,
  'server.not-running': 503,
  'server.no-dashboard': 404,
  'store.in-use': 500,
  'store.newer': 500,
} as const satisfies Record<string, number>;

export type ServerErrorCode = keyof typeof STATUS_OF | RefusalCode;

const CANNOT_TELL: readonly ServerErrorCode[] = ['server.not-running', 'server.no-dashboard'];

/** What the service refuses, for a person and for HTTP. */
export class ServerError extends AssayError {
  readonly code: ServerErrorCode;
  /** What HTTP answers. */
  readonly statusCode: number;

  constructor(code: ServerErrorCode, message: string, options: { advice?: string; cause?: unknown } = {}) {
    const exitCode = CANNOT_TELL.includes(code) ? 3 : 2;
    super(message, { ...(isRefusalCode(code) ? { advice: REFUSALS[code].advice } : {}), ...options, exitCode });
    this.code = code;
    this.statusCode = isRefusalCode(code) ? REFUSALS[code].status : STATUS_OF[code];
  }
}
