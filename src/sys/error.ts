import { constants } from 'node:os';
import { AssayError } from '../bytes/index.ts';

export type SysErrorCode =
  /** System calls cannot be made from this Node: koffi does not load here, or the C library lacks the function. */
  | 'sys.unavailable'
  /** The file system or kernel lacks what was asked. */
  | 'sys.not-supported'
  /** The kernel refused a call; `errno` has its reason. */
  | 'sys.call-failed'
  /** A PKCS#11 URI that cannot be followed, or a module or token that refused; no PIN is in the message. */
  | 'sys.token'
  /** A folder for secrets belongs to another user, or others may write to it. */
  | 'sys.folder-not-private'
  /** A path to listen at is in use, or something that is no abandoned socket stands there. */
  | 'sys.socket-taken';

/** What went wrong beneath Node: a call that cannot be made, or one that the kernel refused. */
export class SysError extends AssayError {
  readonly code: SysErrorCode;
  /** `EPERM`, `ENODATA`, …, of a token's module `CKR_PIN_INCORRECT`, …; undefined where no call was made. */
  readonly errno: string | undefined;

  constructor(
    code: SysErrorCode,
    message: string,
    options: { advice?: string; cause?: unknown; errno?: string | undefined } = {},
  ) {
    const { errno, ...rest } = options;
    super(message, { ...rest, exitCode: code === 'sys.unavailable' || code === 'sys.not-supported' ? 3 : 2 });
    this.code = code;
    this.errno = errno;
  }
}

const NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number as number, name]));

/** `EPERM` for 1; `errno 999` for one that has no name. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}

const ADVICE: Readonly<Record<string, string>> = {
  EPERM: 'run as root',
  EACCES: 'run as root',
  ENOSYS: 'this kernel does not have the call',
  EOPNOTSUPP: 'this file system does not support it',
};

/** The error for a call that returned -1. */
export function callFailed(call: string, subject: string, errno: number): SysError {
  const name = errnoName(errno);
  const advice = ADVICE[name];
  return new SysError('sys.call-failed', `${[call, subject].join(' ').trim()}: ${name}`, {
    errno: name,
    ...(advice === undefined ? {} : { advice }),
  });
}
