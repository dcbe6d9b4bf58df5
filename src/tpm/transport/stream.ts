/** A socket from which whole answers are taken, however they were cut on their way. */
import { connect, type Socket } from 'node:net';
import { TpmError } from '../errors.ts';

/** Where a TPM's socket listens. */
export type SocketAddress = { readonly path: string } | { readonly host: string; readonly port: number };

export function describeAddress(address: SocketAddress): string {
  return 'path' in address ? address.path : `${address.host}:${address.port}`;
}

/** More than the largest response: whoever sends more than was asked for is no TPM. */
const MAX_BUFFERED = 128 * 1024;

interface Waiting {
  readonly size: number;
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

/** Guards the bytes that have come and not been asked for; one `read` at a time. */
export class SocketStream {
  readonly #socket: Socket;
  readonly #name: string;
  #buffered: Buffer = Buffer.alloc(0);
  #waiting: Waiting | undefined;
  #broken: TpmError | undefined;

  private constructor(socket: Socket, name: string) {
    this.#socket = socket;
    this.#name = name;
    // tpm2-tss and swtpm answer in small pieces: with Nagle's algorithm each command would wait 40 ms.
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', (error) => this.#break(error.message));
    socket.on('close', () => this.#break('the connection was closed'));
  }

  /** @throws {TpmError} `tpm.transport` */
  static open(address: SocketAddress, timeoutMs = 5000): Promise<SocketStream> {
    const name = describeAddress(address);
    return new Promise((resolve, reject) => {
      const socket = connect(address);
      const fail = (detail: string) => {
        socket.destroy();
        reject(
          new TpmError('tpm.transport', `no TPM answers at ${name}: ${detail}`, {
            advice: 'start it, or name another with --tpm',
          }),
        );
      };
      socket.setTimeout(timeoutMs, () => fail('time-out'));
      socket.once('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
      socket.once('connect', () => {
        socket.setTimeout(0);
        socket.removeAllListeners('error');
        resolve(new SocketStream(socket, name));
      });
    });
  }

  write(bytes: Uint8Array): void {
    if (this.#broken !== undefined) throw this.#broken;
    this.#socket.write(bytes);
  }

  read(size: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#waiting = { size, resolve, reject };
      this.#serve();
    });
  }

  /**
   * Gives the connection up: where an answer cannot be followed, nobody knows where the next begins.
   * Whatever is asked for from now on fails with `tpm.transport`.
   *
   * @returns the error for the answer itself, `tpm.malformed`
   */
  giveUp(detail: string): TpmError {
    this.#buffered = Buffer.alloc(0);
    this.#break(detail);
    this.#socket.destroy();
    return new TpmError('tpm.malformed', `${this.#name}: ${detail}`);
  }

  async close(): Promise<void> {
    if (this.#socket.destroyed) return;
    await new Promise<void>((resolve) => {
      this.#socket.once('close', () => resolve());
      this.#socket.end(() => this.#socket.destroy());
    });
  }

  #receive(chunk: Buffer): void {
    this.#buffered = this.#buffered.length === 0 ? chunk : Buffer.concat([this.#buffered, chunk]);
    this.#serve();
    if (this.#buffered.length <= MAX_BUFFERED) return;
    this.#buffered = Buffer.alloc(0);
    this.#break('it sends what nobody asked for');
    this.#socket.destroy();
  }

  #break(detail: string): void {
    this.#broken ??= new TpmError('tpm.transport', `the TPM at ${this.#name} is gone: ${detail}`);
    this.#serve();
  }

  #serve(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    if (this.#buffered.length >= waiting.size) {
      this.#waiting = undefined;
      const bytes = this.#buffered.subarray(0, waiting.size);
      this.#buffered = this.#buffered.subarray(waiting.size);
      waiting.resolve(bytes);
    } else if (this.#broken !== undefined) {
      this.#waiting = undefined;
      waiting.reject(this.#broken);
    }
  }
}
