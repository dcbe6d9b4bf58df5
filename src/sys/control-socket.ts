/**
 * A running process's door for its own user: a Unix socket in a private folder, which nobody else can enter. One line is
 * asked, one line of JSON is the answer. A terminal or a signal would not do: a process in the background is stopped when
 * it reads the terminal, and Node's debugger has SIGUSR1.
 */
import { constants } from 'node:fs';
import { chmod, type FileHandle, open } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { removeAbandonedSocket } from './socket-path.ts';

/** The socket's name in its folder. */
export const CONTROL_SOCKET = 'control.sock';
const PATIENCE_MS = 5000;
const MAX_CONNECTIONS = 16;
const MAX_REQUEST = 8192;

export interface ControlSocket {
  close(): Promise<void>;
}

/**
 * Listens in a folder that is this user's alone.
 * @param answer what a line without its end is answered with
 * @throws {SysError} `sys.socket-taken` where somebody listens there, or something else stands there
 * @throws the system's error where it cannot listen there
 */
export async function openControlSocket(
  folder: string,
  answer: (line: string) => Promise<object>,
): Promise<ControlSocket> {
  const { handle, path } = await shortPath(folder);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    answerOnce(socket, answer);
  });
  server.maxConnections = MAX_CONNECTIONS;
  try {
    await removeAbandonedSocket(path);
    await listening(server, path);
    await chmod(path, 0o600);
  } catch (error) {
    await closed(server);
    await handle.close();
    throw error;
  }
  return {
    async close() {
      for (const socket of sockets) socket.destroy();
      await closed(server); // removes the socket, so the folder's descriptor must still be there
      await handle.close();
    },
  };
}

/** A socket's path has at most 107 bytes (unix(7)) and a folder's may be longer: the descriptor stands for the folder. */
async function shortPath(folder: string): Promise<{ handle: FileHandle; path: string }> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  return { handle, path: join('/proc/self/fd', String(handle.fd), CONTROL_SOCKET) };
}

function answerOnce(socket: Socket, answer: (line: string) => Promise<object>): void {
  let asked = '';
  let isAnswered = false;
  const say = (value: object): void => void socket.end(`${JSON.stringify(value)}\n`);
  socket.setTimeout(PATIENCE_MS, () => {
    if (!isAnswered) socket.destroy();
  });
  socket.on('error', () => undefined); // who asked has gone
  socket.on('data', (part) => {
    if (isAnswered) return;
    asked += part.toString();
    const end = asked.indexOf('\n');
    if (end < 0 && asked.length <= MAX_REQUEST) return;
    isAnswered = true;
    if (end < 0) say({ error: 'request.invalid' });
    else answer(asked.slice(0, end)).then(say, () => say({ error: 'fault' }));
  });
}

/**
 * Asks the process that listens in a folder.
 * @param options.maxAnswer more bytes than this are no answer of ours; left out: 4096
 * @param options.patienceMs left out: 5000
 * @returns the answer; undefined for what is no JSON
 * @throws the system's error where nobody listens, or does not answer
 */
export async function askControlSocket(
  folder: string,
  line: string,
  options: { readonly maxAnswer?: number; readonly patienceMs?: number } = {},
): Promise<unknown> {
  const { handle, path } = await shortPath(folder);
  try {
    return parsed(await ask(path, line, options));
  } finally {
    await handle.close();
  }
}

function ask(
  path: string,
  line: string,
  { maxAnswer = 4096, patienceMs = PATIENCE_MS }: { readonly maxAnswer?: number; readonly patienceMs?: number },
): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    const socket = connect(path, () => socket.write(`${line}\n`));
    socket.setTimeout(patienceMs, () => socket.destroy(new Error('it does not answer')));
    socket.on('data', (part) => {
      said += part.toString();
      if (said.length > maxAnswer) socket.destroy(new Error('what answers there is none of ours'));
    });
    socket.once('error', reject);
    socket.once('close', () => resolve(said));
  });
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
