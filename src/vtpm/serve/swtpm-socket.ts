/** Serves one switched TPM as `swtpm socket` does: a control channel, and a data channel that is there or is passed over it. */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { PassingSocket } from '../../sys/index.ts';
import { serveConnection } from './connection.ts';
import { type Endpoint, type Listener, openEndpoint } from './endpoint.ts';
import type { SwitchedTpm } from './servable-tpm.ts';
import { serveSwtpmControl } from './swtpm-control.ts';
import { type Locality, serveSwtpmData } from './swtpm-data.ts';

export interface SwtpmSocketOptions {
  readonly control?: Endpoint | undefined;
  readonly data?: Endpoint | undefined;
  /** The data channel's connections end after each answer. */
  readonly disconnects?: boolean | undefined;
  /** It ends when a connection of the data channel does. */
  readonly endsWithData?: boolean | undefined;
  /** It ends when a connection of the control channel does. */
  readonly endsWithControl?: boolean | undefined;
  readonly rejectsLocality4?: boolean | undefined;
  /** What CMD_GET_INFO tells, as JSON. */
  readonly info?: ((flags: bigint) => string) | undefined;
  /** Told of what failed behind an answer that is only a number. */
  readonly onFailure?: ((error: unknown) => void) | undefined;
}

export interface SwtpmSocket {
  /** Why it is over, where it is so by a command or by who went; it is to be closed then. */
  readonly ended: Promise<'CMD_SHUTDOWN' | 'the data channel was closed' | 'the control channel was closed'>;
  close(): Promise<void>;
}

type End = Awaited<SwtpmSocket['ended']>;

/** @throws {VtpmError} `vtpm.address` where an endpoint cannot be used */
export async function serveSwtpmSocket(tpm: SwitchedTpm, options: SwtpmSocketOptions): Promise<SwtpmSocket> {
  const channels = new Channels(tpm, options);
  try {
    await channels.open();
  } catch (error) {
    await channels.close();
    throw error;
  }
  return channels;
}

class Channels implements SwtpmSocket {
  readonly ended: Promise<End>;
  readonly #end: (why: End) => void;
  readonly #tpm: SwitchedTpm;
  readonly #options: SwtpmSocketOptions;
  readonly #locality: Locality = { current: 0 };
  readonly #listeners: Listener[] = [];
  readonly #connections = new Set<Duplex>();
  #passed: Socket | undefined;

  constructor(tpm: SwitchedTpm, options: SwtpmSocketOptions) {
    this.#tpm = tpm;
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<End>();
    this.ended = promise;
    this.#end = resolve;
  }

  async open(): Promise<void> {
    const { control, data } = this.#options;
    if (control !== undefined) {
      this.#listeners.push(await openEndpoint(control, true, (connection) => this.#serveControl(connection)));
    }
    if (data !== undefined) {
      this.#listeners.push(await openEndpoint(data, false, (connection) => this.#serveData(connection)));
    }
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.destroy();
    await Promise.all(this.#listeners.map((listener) => listener.close()));
  }

  #serveControl(connection: Duplex): void {
    const { rejectsLocality4 = false, info, onFailure, endsWithControl } = this.#options;
    const channel = {
      locality: this.#locality,
      rejectsLocality4,
      shutDown: () => this.#end('CMD_SHUTDOWN'),
      ...(info && { info }),
      ...(onFailure && { onFailure }),
      ...(connection instanceof PassingSocket && { setDataChannel: () => this.#setDataChannel(connection) }),
    };
    const served = this.#serve(connection, (stream) =>
      serveConnection(stream, this.#tpm, (one) => serveSwtpmControl(one, channel)),
    );
    if (endsWithControl === true) void served.then(() => this.#end('the control channel was closed'));
  }

  #serveData(connection: Duplex): Promise<void> {
    const { disconnects = false, endsWithData } = this.#options;
    const served = this.#serve(connection, (stream) =>
      serveConnection(stream, this.#tpm, (one) => serveSwtpmData(one, this.#locality, { disconnects })),
    );
    if (endsWithData === true) void served.then(() => this.#end('the data channel was closed'));
    return served;
  }

  async #serve(connection: Duplex, protocol: (stream: Duplex) => Promise<void>): Promise<void> {
    this.#connections.add(connection);
    await protocol(connection);
    this.#connections.delete(connection);
  }

  /** QEMU gives one end of a socket pair. */
  #setDataChannel(connection: PassingSocket): 'missing' | 'taken' | undefined {
    const fd = connection.takeDescriptor();
    if (fd === undefined) return 'missing';
    if (this.#passed !== undefined) {
      closeSync(fd);
      return 'taken';
    }
    const passed = socketOf(fd);
    if (passed === undefined) return 'missing';
    this.#passed = passed;
    void this.#serveData(passed).then(() => {
      this.#passed = undefined;
    });
    return undefined;
  }
}

/** @returns undefined where it is no stream socket; it is closed then */
function socketOf(fd: number): Socket | undefined {
  try {
    return new Socket({ fd, allowHalfOpen: true });
  } catch {
    closeSync(fd);
    return undefined;
  }
}
