/** Where a channel is: somewhere to listen, or a socket that was inherited. */
import { chown } from 'node:fs/promises';
import { createServer, type Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { isNativeAvailable, PassingServer, PassingSocket, removeAbandonedSocket, SysError } from '../../sys/index.ts';
import { VtpmError } from '../error.ts';

export type Endpoint =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | {
      readonly kind: 'unix';
      readonly path: string;
      readonly mode?: number;
      readonly uid?: number;
      readonly gid?: number;
    }
  /** A socket that somebody else bound. */
  | { readonly kind: 'listening'; readonly fd: number; readonly isUnix: boolean }
  /** A connection that somebody else made. */
  | { readonly kind: 'connected'; readonly fd: number; readonly isUnix: boolean };

const DEFAULT_SOCKET_MODE = 0o600;
/** chown(2): (uid_t)-1. */
const UNCHANGED = 0xffff_ffff;

/** Far more than a TPM's users at once: who opens more would only fill memory. */
export const MAX_CONNECTIONS = 64;

export interface Listener {
  /** Connections that are open stay so. */
  close(): Promise<void>;
}

export type OnConnection = (connection: Duplex) => void;

/** Node's server: half open, for a peer may end its side before it has read the last answer. */
export function newServer(onConnection: (socket: Socket) => void): Server {
  const server = createServer({ noDelay: true, allowHalfOpen: true }, onConnection);
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}

export function describe(endpoint: Endpoint): string {
  if (endpoint.kind === 'tcp') return `${endpoint.host}:${endpoint.port}`;
  return endpoint.kind === 'unix' ? endpoint.path : `descriptor ${endpoint.fd}`;
}

export function addressError(where: string, cause: unknown): VtpmError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const advice = (cause instanceof SysError ? cause.advice : undefined) ?? 'name another address';
  return new VtpmError('vtpm.address', `a TPM cannot be served at ${where}: ${why}`, { advice, cause });
}

export const closeServer = (server: Server): Promise<void> => new Promise((done) => server.close(() => done()));

export function listenOn(
  server: Server,
  where: { port: number; host: string } | { path: string } | { fd: number },
  name: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (cause: Error): void => reject(addressError(name, cause));
    server.once('error', refuse);
    server.listen(where, () => {
      server.off('error', refuse);
      resolve();
    });
  });
}

/**
 * Listens there, or hands over the connection that is there.
 * @param passes descriptors are to be received: over Unix sockets, where system calls can be made (`PassingSocket`)
 * @throws {VtpmError} `vtpm.address`
 */
export async function openEndpoint(endpoint: Endpoint, passes: boolean, onConnection: OnConnection): Promise<Listener> {
  const isPassing =
    passes && endpoint.kind !== 'tcp' && (endpoint.kind === 'unix' || endpoint.isUnix) && isNativeAvailable();
  try {
    if (endpoint.kind === 'unix') await removeAbandonedSocket(endpoint.path);
    if (endpoint.kind === 'connected') {
      onConnection(isPassing ? new PassingSocket(endpoint.fd) : new Socket({ fd: endpoint.fd, allowHalfOpen: true }));
      return { close: async () => undefined };
    }
    return isPassing ? listenPassing(endpoint, onConnection) : await listenByNode(endpoint, onConnection);
  } catch (error) {
    throw error instanceof VtpmError ? error : addressError(describe(endpoint), error);
  }
}

type ListeningEndpoint = Exclude<Endpoint, { kind: 'connected' }>;

function listenPassing(endpoint: Exclude<ListeningEndpoint, { kind: 'tcp' }>, onConnection: OnConnection): Listener {
  const open = new Set<PassingSocket>();
  const server = new PassingServer(endpoint, (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    if (open.size > MAX_CONNECTIONS) socket.destroy();
    else onConnection(socket);
  });
  return { close: async () => server.close() };
}

async function listenByNode(endpoint: ListeningEndpoint, onConnection: OnConnection): Promise<Listener> {
  const server = newServer(onConnection);
  if (endpoint.kind === 'unix') await listenAtPath(server, endpoint);
  else await listenOn(server, endpoint.kind === 'tcp' ? endpoint : { fd: endpoint.fd }, describe(endpoint));
  return { close: () => closeServer(server) };
}

/** Node binds before `listen` returns: under this mask the socket never has other permissions. */
async function listenAtPath(server: Server, endpoint: Extract<Endpoint, { kind: 'unix' }>): Promise<void> {
  const { path, mode = DEFAULT_SOCKET_MODE, uid, gid } = endpoint;
  const before = process.umask(~mode & 0o777);
  let listening: Promise<void>;
  try {
    listening = listenOn(server, { path }, path);
  } finally {
    process.umask(before);
  }
  await listening;
  if (uid !== undefined || gid !== undefined) await chown(path, uid ?? UNCHANGED, gid ?? UNCHANGED);
}
