/** Serves a TPM on sockets, so that tpm2-tools, QEMU and others can use it. */
import { rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
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
  return createServer({ noDelay: true }, (socket) => {
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
      .finally(() => socket.end());
  });
}

function listen(server: Server, where: { port: number; host: string } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

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
      await new Promise((resolve) => servers[0].close(resolve));
      if (port !== 0 || attempt === 20) throw error;
    }
  }
}

/** @throws the system's error where an address cannot be listened on */
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
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}

async function listenBoth(servers: readonly [Server, Server], { protocol, tcp, unix }: ServeOptions): Promise<string> {
  if (unix !== undefined) {
    // A socket that a killed process left would refuse the address for ever
    await Promise.all([rm(unix, { force: true }), rm(`${unix}.ctrl`, { force: true })]);
    await listen(servers[0], { path: unix });
    await listen(servers[1], { path: `${unix}.ctrl` });
    return `${protocol}:path=${unix}`;
  }
  const host = tcp?.host ?? '127.0.0.1';
  const port = await listenPair(servers, host, tcp?.port ?? 0);
  return `${protocol}:host=${host},port=${port}`;
}
