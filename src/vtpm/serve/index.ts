/** Serves a TPM on sockets, so that tpm2-tools, QEMU and others can use it. */
import type { Server, Socket } from 'node:net';
import { removeAbandonedSocket } from '../../sys/index.ts';
import { type Served, serveConnection } from './connection.ts';
import { addressError, closeServer, listenOn, newServer } from './endpoint.ts';
import { serveMssimCommands, serveMssimPlatform } from './mssim-server.ts';
import { type ServableTpm, serialised } from './servable-tpm.ts';
import { serveSwtpmControl } from './swtpm-control.ts';
import { type Locality, serveSwtpmData } from './swtpm-data.ts';

export type { Endpoint } from './endpoint.ts';
export type { ServableTpm, SwitchedTpm } from './servable-tpm.ts';
export * from './swtpm-socket.ts';

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

function serverOf(protocol: Protocol, tpm: ServableTpm, sockets: Set<Socket>): Server {
  return newServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    void serveConnection(socket, tpm, protocol);
  });
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Two free ports in a row: the second can be taken by somebody, so another pair is tried. */
async function listenPair(servers: readonly [Server, Server], host: string, port: number): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    await listenOn(servers[0], { port, host }, `${host}:${port}`);
    const first = portOf(servers[0]);
    try {
      await listenOn(servers[1], { port: first + 1, host }, `${host}:${first + 1}`);
      return first;
    } catch (error) {
      await closeServer(servers[0]);
      if (port !== 0 || attempt === 20) throw error;
    }
  }
}

async function listenPaths(servers: readonly [Server, Server], paths: readonly [string, string]): Promise<void> {
  // Both are looked at before either is listened on, so that a refusal leaves nothing behind
  for (const path of paths) {
    await removeAbandonedSocket(path).catch((error: unknown) => {
      throw addressError(path, error);
    });
  }
  await listenOn(servers[0], { path: paths[0] }, paths[0]);
  try {
    await listenOn(servers[1], { path: paths[1] }, paths[1]);
  } catch (error) {
    await closeServer(servers[0]);
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
      : [(served) => serveSwtpmData(served, locality), (served) => serveSwtpmControl(served, { locality })];
  const servers: readonly [Server, Server] = [
    serverOf(protocols[0], shared, sockets),
    serverOf(protocols[1], shared, sockets),
  ];
  const address = await listenBoth(servers, options);
  return {
    address,
    async close() {
      for (const socket of sockets) socket.destroy();
      await Promise.all(servers.map(closeServer));
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
