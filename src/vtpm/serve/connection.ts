/** A connection read in order, as protocols are: so many bytes, then an answer. */
import type { Readable } from 'node:stream';

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

/**
 * Takes from the stream only what was asked for: what a peer sends beyond that waits in the stream's bounded buffer and
 * then in the peer. One `read` at a time.
 */
export class ConnectionReader {
  readonly #stream: Readable;
  #wake: () => void = () => undefined;

  constructor(stream: Readable) {
    this.#stream = stream;
    const wake = (): void => this.#wake();
    stream.on('readable', wake).on('end', wake).on('close', wake).on('error', wake);
  }

  /** The next `size` bytes, which are to be within what the caller holds to be a message. @throws {Disconnected} where the peer goes before */
  async read(size: number): Promise<Buffer> {
    if (size === 0) return Buffer.alloc(0);
    for (;;) {
      const bytes: unknown = this.#stream.read(size);
      if (bytes instanceof Buffer) {
        if (bytes.length === size) return bytes;
        throw new Disconnected(); // at its end a stream gives what is left
      }
      if (this.#stream.readableEnded || this.#stream.destroyed) throw new Disconnected();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** At least `min` bytes, and up to `max` of what came with them: for fields whose width differs from peer to peer. */
  async readSome(min: number, max: number): Promise<Buffer> {
    const bytes = await this.read(min);
    const more = await this.read(Math.min(this.#stream.readableLength, max - min));
    return Buffer.concat([bytes, more]);
  }
}
