/** The server's door for its own user: a fresh link into the dashboard, for who can enter the data folder. */
import { join } from 'node:path';
import { AssayError } from '../bytes/index.ts';
import { askControlSocket, CONTROL_SOCKET, type ControlSocket, openControlSocket } from '../sys/index.ts';
import { ServerError } from './error.ts';

const REQUEST = 'link';
const LINK = /^http:\/\/(?:127\.0\.0\.1|\[::1\]):\d{1,5}\/enter\?token=[\w-]{1,256}$/;

/**
 * Listens in a data folder that is this user's alone and that no other server uses.
 * @param link a fresh link into the dashboard; undefined where none is served
 * @throws {ServerError} `server.control` where it cannot listen there
 */
export async function openLinkSocket(
  dataFolder: string,
  link: () => Promise<string | undefined>,
): Promise<ControlSocket> {
  try {
    return await openControlSocket(dataFolder, (line) => answer(line, link));
  } catch (cause) {
    const what = `${join(dataFolder, CONTROL_SOCKET)} cannot be listened on: ${wordsOf(cause)}`;
    throw new ServerError('server.control', what, {
      advice: 'look at what is there; remove it if no server runs',
      cause,
    });
  }
}

async function answer(line: string, link: () => Promise<string | undefined>): Promise<object> {
  if (line !== REQUEST) return { error: 'request.invalid' };
  try {
    const given = await link();
    return given === undefined ? { error: 'server.no-dashboard' } : { link: given };
  } catch {
    return { error: 'server.fault' };
  }
}

/**
 * A fresh link from the server that uses this data folder.
 * @throws {ServerError} `server.not-running`, `server.no-dashboard`
 */
export async function dashboardLinkFrom(dataFolder: string): Promise<string> {
  let said: unknown;
  try {
    said = await askControlSocket(dataFolder, REQUEST);
  } catch (cause) {
    throw new ServerError('server.not-running', `no server answers in ${dataFolder}: ${wordsOf(cause)}`, {
      advice: 'start it with `assay up` or `assay server run`, or name its folder with --data',
      cause,
    });
  }
  return linkIn(said);
}

function linkIn(value: unknown): string {
  if (value !== null && typeof value === 'object') {
    if ('link' in value && typeof value.link === 'string' && LINK.test(value.link)) return value.link;
    if ('error' in value && value.error === 'server.no-dashboard')
      throw new ServerError('server.no-dashboard', 'the server has no listener for the dashboard');
  }
  throw new ServerError('server.fault', 'the server gave no link', { advice: 'look at its log' });
}

/** In short: paths in a system's words are those of descriptors. */
function wordsOf(cause: unknown): string {
  if (cause instanceof AssayError) return cause.message.replace(/^\S+: /, '');
  if (!(cause instanceof Error)) return String(cause);
  return 'code' in cause ? String(cause.code) : cause.message;
}
