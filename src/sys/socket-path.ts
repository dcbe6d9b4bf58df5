/** A path to listen at: the socket that a killed process left there refuses it for ever, and whatever else is there is not ours. */
import { lstat, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { SysError } from './error.ts';

function taken(path: string, why: string, advice: string): SysError {
  return new SysError('sys.socket-taken', `${path}: ${why}`, { advice });
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);

/** The system's code for why nobody is reached; undefined where somebody answers. */
function connectionError(path: string): Promise<unknown> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('error', (error) => resolve(codeOf(error)));
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
  });
}

/**
 * Removes a socket on which nobody listens; an empty path is left so.
 *
 * @throws {SysError} `sys.socket-taken` where anything else is at the path, a link included
 */
export async function removeAbandonedSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw taken(path, String(codeOf(error)), 'name a path that can be reached');
  });
  if (found === undefined) return;
  if (!found.isSocket()) throw taken(path, 'what is there is no socket', 'move it away, or name another path');
  // unix(7): ECONNREFUSED where the socket is bound and nobody listens
  const code = await connectionError(path);
  if (code === undefined) throw taken(path, 'another process serves there', 'stop it, or name another path');
  if (code !== 'ECONNREFUSED' && code !== 'ENOENT')
    throw taken(
      path,
      `whether the socket there is in use cannot be told (${String(code)})`,
      'remove it, or name another path',
    );
  await rm(path, { force: true });
}
