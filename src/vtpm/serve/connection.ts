/** A connection read in order, as protocols are: so many bytes, then an answer. */
import type { Socket } from 'node:net';

/** What is served: one command at a time, whoever asks. */
export interface ServableTpm {
  execute(command: Uint8Array, locality?: number): Promise<Uint8Array> | Uint8Array;
  /** _TPM_Init. */
  powerOn(): Promise<void> | void;
}

export interface Served {
  readonly input: ConnectionReader;
  readonly tpm: ServableTpm;
  send(bytes: Uint8Array): Promise<void>;
}

/** Raised where the peer has gone; the connection ends quietly. */
export class Disconnected extends Error {}

export class ConnectionReader {
  #pending: Buffer = Buffer.alloc(0);
  #isOver = false;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
      this.#wake?.();
    });
    const end = (): void => {
      this.#isOver = true;
      this.#wake?.();
    };
    socket.on('end', end).on('close', end).on('error', end);
  }

  /** The next `size` bytes. @throws {Disconnected} where the peer goes before */
  async read(size: number): Promise<Buffer> {
    while (this.#pending.length < size) {
      if (this.#isOver) throw new Disconnected();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    const bytes = this.#pending.subarray(0, size);
    this.#pending = this.#pending.subarray(size);
    return bytes;
  }

  /** At least `min` bytes, and up to `max` of what came with them: for fields whose width differs from peer to peer. */
  async readSome(min: number, max: number): Promise<Buffer> {
    const bytes = await this.read(min);
    const more = this.#pending.subarray(0, max - min);
    this.#pending = this.#pending.subarray(more.length);
    return Buffer.concat([bytes, more]);
  }
}
