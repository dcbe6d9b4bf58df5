/** Asks the guard that runs on this machine. */
import { askControlSocket } from '../sys/index.ts';
import { GuardError } from './error.ts';
import type { ServiceStatus } from './service.ts';
import { endPredecessors } from './watchdog/predecessor.ts';

/** A status has each watched file system, and the last denials with their paths. */
const MAX_ANSWER = 4 * 2 ** 20;
/** A reload waits for what is being decided. */
const PATIENCE_MS = 60_000;

/** @param folder the guard's @throws {GuardError} `guard.not-running` */
export async function guardStatus(folder: string): Promise<ServiceStatus> {
  return statusIn(await ask(folder, 'status'));
}

/**
 * @param policy a file in place of the one that it was started with
 * @throws {GuardError} `guard.not-running`; `guard.refused` where policy or keys have an error, and the old ones stay
 */
export async function reloadGuard(folder: string, policy: string | undefined): Promise<ServiceStatus> {
  return statusIn(await ask(folder, policy === undefined ? 'reload' : `reload ${policy}`));
}

/**
 * Resolves when nothing is watched any more. Where the guard is gone, ends the watchdog that refuses in its place.
 * @throws {GuardError} `guard.not-running` where there is neither
 */
export async function stopGuard(folder: string): Promise<void> {
  try {
    await ask(folder, 'stop');
  } catch (error) {
    const isGone = error instanceof GuardError && error.code === 'guard.not-running';
    if (!isGone || endPredecessors(folder, undefined) === 0) throw error;
  }
}

async function ask(folder: string, request: string): Promise<object> {
  let said: unknown;
  try {
    said = await askControlSocket(folder, request, { maxAnswer: MAX_ANSWER, patienceMs: PATIENCE_MS });
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new GuardError('guard.not-running', `no guard answers in ${folder}: ${reason}`, {
      advice: 'start it with `assay guard run`, or name its folder with --data',
      exitCode: 3,
      cause,
    });
  }
  if (said === null || typeof said !== 'object') throw noGuard();
  if ('error' in said) throw refusalOf(said.error);
  return said;
}

function statusIn(said: object): ServiceStatus {
  if (!('status' in said)) throw noGuard();
  return said.status as ServiceStatus; // of a socket in a private folder: of this very code
}

function refusalOf(error: unknown): GuardError {
  const has = (name: string): string | undefined => {
    const value = error !== null && typeof error === 'object' && name in error ? Reflect.get(error, name) : undefined;
    return typeof value === 'string' ? value : undefined;
  };
  const advice = has('advice');
  const words = has('message') ?? 'the guard refused';
  return new GuardError('guard.refused', words, advice === undefined ? {} : { advice });
}

const noGuard = (): GuardError =>
  new GuardError('guard.refused', 'what answers there is no guard', { advice: 'look at its log' });
