/** Serves a TPM on sockets, so that tpm2-tools, QEMU and others can use it. */
import { createServer, type Server, type Socket } from 'node:net';
import { removeAbandonedSocket, SysError } from '../../sys/index.ts';
import { VtpmError } from '../error.ts';
import { ConnectionReader, Disconnected, type ServableTpm, type Served } from './connection.ts';
import { serveMssimCommands, serveMssimPlatform } from './mssim-server.ts';
import { type Locality, serveSwtpmControl, serveSwtpmData } from './swtpm-server.ts';

export type { ServableTpm } from './connection.ts';

export interface ServeOptions {
  /** `swtpm`: data and control channel; `mssim`: command and platform port. */
  readonly protocol: 'swtpm' | 'mssim';
  /** The first of two ports in a row, on 127.0.0.1 unless `host` says otherwise. 0: any two that are free. */
  readonly tcp?: { readonly port: number; readonly host?: string };
  /** A path for the first channel; the second is at `path.ctrl`, as tpm2-tss expects. */
  readonly unix?: string;
}

export interface ServedTpm {
  /** As tpm2-tools' TPM2TOOLS_TCTI takes it: `swtpm:path=/run/tpm`, `mssim:host=127.0.0.1,port=2321`. */
  readonly address: string;
  close(): Promise<void>;
}

type Protocol = (served: Served) => Promise<void>;

/** Far more than a TPM's users at once: who opens more would only fill memory. */
const MAX_CONNECTIONS = 64;

/** One command in flight: the TPM is one machine, and there may be many connections. */
function serialised(tpm: ServableTpm): ServableTpm {
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(action: () => T | Promise<T>): Promise<T> => {
    const result = last.then(action);
    last = result.catch(() => undefined);
    return result;
  };
  return {
    execute: (command, locality) => inTurn(() => tpm.execute(command, locality)),
    powerOn: () => inTurn(() => tpm.powerOn()),
  };
}

function serverOf(protocol: Protocol, tpm: ServableTpm, sockets: Set<Socket>): Server {
  // Half open: a peer may end its side before it has read the last answer
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    const send = (bytes: Uint8Array): Promise<void> =>
      new Promise((resolve, reject) =>
        socket.write(bytes, (error) => (error ? reject(new Disconnected()) : resolve())),
      );
    protocol({ input: new ConnectionReader(socket), tpm, send })
      .catch((error: unknown) => {
        if (!(error instanceof Disconnected)) socket.destroy(error instanceof Error ? error : undefined);
      })
      .finally(() => socket.destroySoon()); // what a peer sends after the end is not waited for
  });
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}

function listen(server: Server, where: { port: number; host: string } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (cause: Error): void => {
      const address = 'path' in where ? where.path : `${where.host}:${where.port}`;
      const message = `a TPM cannot be served at ${address}: ${cause.message}`;
      reject(new VtpmError('vtpm.address', message, { advice: 'name another address', cause }));
    };
    server.once('error', refuse);
    server.listen(where, () => {
      server.off('error', refuse);
      resolve();
    });
  });
}

const closed = (server: Server): Promise<unknown> => new Promise((resolve) => server.close(resolve));

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Two free ports in a row: the second can be taken by somebody, so another pair is tried. */
async function listenPair(servers: readonly [Server, Server], host: string, port: number): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    await listen(servers[0], { port, host });
    const first = portOf(servers[0]);
    try {
      await listen(servers[1], { port: first + 1, host });
      return first;
    } catch (error) {
      await closed(servers[0]);
      if (port !== 0 || attempt === 20) throw error;
    }
  }
}

function refuseAddress(error: unknown): never {
  if (!(error instanceof SysError)) throw error;
  const { message, advice } = error;
  throw new VtpmError('vtpm.address', `a TPM cannot be served at ${message}`, {
    cause: error,
    ...(advice === undefined ? {} : { advice }),
  });
}

async function listenPaths(servers: readonly [Server, Server], paths: readonly [string, string]): Promise<void> {
  // Both are looked at before either is listened on, so that a refusal leaves nothing behind
  for (const path of paths) await removeAbandonedSocket(path).catch(refuseAddress);
  await listen(servers[0], { path: paths[0] });
  try {
    await listen(servers[1], { path: paths[1] });
  } catch (error) {
    await closed(servers[0]);
    throw error;
  }
}

/** @throws {VtpmError} `vtpm.address` where an address cannot be listened on */
export async function serveTpm(tpm: ServableTpm, options: ServeOptions): Promise<ServedTpm> {
  const shared = serialised(tpm);
  const sockets = new Set<Socket>();
  const locality: Locality = { current: 0 };
  const protocols: readonly [Protocol, Protocol] =
    options.protocol === 'mssim'
      ? [serveMssimCommands, serveMssimPlatform]
      : [(served) => serveSwtpmData(served, locality), (served) => serveSwtpmControl(served, locality)];
  const servers: readonly [Server, Server] = [
    serverOf(protocols[0], shared, sockets),
    serverOf(protocols[1], shared, sockets),
  ];
  const address = await listenBoth(servers, options);
  return {
    address,
    async close() {
      for (const socket of sockets) socket.destroy();
      await Promise.all(servers.map(closed));
    },
  };
}

async function listenBoth(servers: readonly [Server, Server], { protocol, tcp, unix }: ServeOptions): Promise<string> {
  if (unix !== undefined) {
    await listenPaths(servers, [unix, `${unix}.ctrl`]);
    return `${protocol}:path=${unix}`;
  }
  const host = tcp?.host ?? '127.0.0.1';
  const port = await listenPair(servers, host, tcp?.port ?? 0);
  return `${protocol}:host=${host},port=${port}`;
}
