/**
 * The server's door for its own user: a Unix socket in the data folder, which nobody else can enter. One line is asked
 * (`link`), one line of JSON is the answer. A terminal or a signal would not do: a server in the background is stopped
 * when it reads the terminal, and Node's debugger has SIGUSR1.
 */
import { constants } from 'node:fs';
import { chmod, type FileHandle, open } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { AssayError } from '../bytes/index.ts';
import { removeAbandonedSocket } from '../sys/index.ts';
import { ServerError } from './error.ts';

const NAME = 'control.sock';
const REQUEST = 'link\n';
const PATIENCE_MS = 5000;
const MAX_CONNECTIONS = 16;
const MAX_ANSWER = 4096;
const LINK = /^http:\/\/(?:127\.0\.0\.1|\[::1\]):\d{1,5}\/enter\?token=[\w-]{1,256}$/;

export interface ControlSocket {
  close(): Promise<void>;
}

/**
 * Listens in a data folder that is this user's alone and that no other server uses.
 * @param link a fresh link into the dashboard; undefined where none is served
 * @throws {ServerError} `server.control` where it cannot listen there
 */
export async function openControlSocket(
  dataFolder: string,
  link: () => Promise<string | undefined>,
): Promise<ControlSocket> {
  const { folder, path } = await shortPath(dataFolder).catch((cause: unknown) => {
    throw cannotListen(dataFolder, cause);
  });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    answer(socket, link);
  });
  server.maxConnections = MAX_CONNECTIONS;
  try {
    await removeAbandonedSocket(path);
    await listening(server, path);
    await chmod(path, 0o600);
  } catch (error) {
    await closed(server);
    await folder.close();
    throw cannotListen(dataFolder, error);
  }
  return {
    async close() {
      for (const socket of sockets) socket.destroy();
      await closed(server); // removes the socket, so the folder's descriptor must still be there
      await folder.close();
    },
  };
}

/**
 * A fresh link from the server that uses this data folder.
 * @throws {ServerError} `server.not-running`, `server.no-dashboard`
 */
export async function dashboardLinkFrom(dataFolder: string): Promise<string> {
  const { folder, path } = await shortPath(dataFolder).catch((cause: unknown) => {
    throw notRunning(dataFolder, cause);
  });
  try {
    const said = await ask(path).catch((cause: unknown) => {
      throw notRunning(dataFolder, cause);
    });
    return linkIn(said);
  } finally {
    await folder.close();
  }
}

/** A socket's path has at most 107 bytes (unix(7)) and a folder's may be longer: the descriptor stands for the folder. */
async function shortPath(dataFolder: string): Promise<{ folder: FileHandle; path: string }> {
  const folder = await open(dataFolder, constants.O_RDONLY | constants.O_DIRECTORY);
  return { folder, path: join('/proc/self/fd', String(folder.fd), NAME) };
}

function answer(socket: Socket, link: () => Promise<string | undefined>): void {
  let asked = '';
  let isAnswered = false;
  const say = (value: object): void => void socket.end(`${JSON.stringify(value)}\n`);
  socket.setTimeout(PATIENCE_MS, () => socket.destroy());
  socket.on('error', () => undefined); // who asked has gone
  socket.on('data', (part) => {
    if (isAnswered) return;
    asked += part.toString('latin1');
    if (!REQUEST.startsWith(asked)) {
      isAnswered = true;
      say({ error: 'request.invalid' });
    } else if (asked === REQUEST) {
      isAnswered = true;
      link().then(
        (given) => say(given === undefined ? { error: 'server.no-dashboard' } : { link: given }),
        () => say({ error: 'server.fault' }),
      );
    }
  });
}

function ask(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    const socket = connect(path, () => socket.write(REQUEST));
    socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error('it does not answer')));
    socket.on('data', (part) => {
      said += part.toString('latin1');
      if (said.length > MAX_ANSWER) socket.destroy(new Error('what answers there is no Assay server'));
    });
    socket.once('error', reject);
    socket.once('close', () => resolve(said));
  });
}

function linkIn(said: string): string {
  const value = parsed(said);
  if (value !== null && typeof value === 'object') {
    if ('link' in value && typeof value.link === 'string' && LINK.test(value.link)) return value.link;
    if ('error' in value && value.error === 'server.no-dashboard')
      throw new ServerError('server.no-dashboard', 'the server has no listener for the dashboard');
  }
  throw new ServerError('server.fault', 'the server gave no link', { advice: 'look at its log' });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

const closed = (server: Server): Promise<unknown> => new Promise((resolve) => server.close(resolve));

function cannotListen(dataFolder: string, cause: unknown): ServerError {
  const advice = 'look at what is there; remove it if no server runs';
  return new ServerError('server.control', `${join(dataFolder, NAME)} cannot be listened on: ${wordsOf(cause)}`, {
    advice,
    cause,
  });
}

function notRunning(dataFolder: string, cause: unknown): ServerError {
  return new ServerError('server.not-running', `no server answers in ${dataFolder}: ${wordsOf(cause)}`, {
    advice: 'start it with `assay up` or `assay server run`, or name its folder with --data',
    cause,
  });
}

/** In short: paths in a system's words are those of descriptors. */
function wordsOf(cause: unknown): string {
  if (cause instanceof AssayError) return cause.message.replace(/^\S+: /, '');
  if (!(cause instanceof Error)) return String(cause);
  return 'code' in cause ? String(cause.code) : cause.message;
}
