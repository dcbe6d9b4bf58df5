/** A connection read in order, as protocols are: so many bytes, then an answer. */
import type { Duplex, Readable } from 'node:stream';
import type { ServableTpm } from './servable-tpm.ts';

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

  /**
   * The next `size` bytes, or what of them came within a time: for messages whose sender may mean less.
   * @throws {Disconnected} where the peer goes before
   */
  async readWithin(size: number, milliseconds: number): Promise<Buffer> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#wake();
    }, milliseconds);
    try {
      for (;;) {
        if (this.#stream.readableLength >= size) return await this.read(size);
        if (isLate) return await this.readSome(size);
        if (this.#stream.readableEnded || this.#stream.destroyed) throw new Disconnected();
        this.#stream.read(0); // asks for more
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** What is there already, at most `max` bytes. */
  async readSome(max: number): Promise<Buffer> {
    return this.read(Math.min(this.#stream.readableLength, max));
  }
}

/** Serves one connection until its peer goes or the protocol ends it; never fails. */
export async function serveConnection(
  stream: Duplex,
  tpm: ServableTpm,
  protocol: (served: Served) => Promise<void>,
): Promise<void> {
  const send = (bytes: Uint8Array): Promise<void> =>
    new Promise((resolve, reject) => stream.write(bytes, (error) => (error ? reject(new Disconnected()) : resolve())));
  stream.on('error', () => undefined); // the reader and the writer notice
  try {
    await protocol({ input: new ConnectionReader(stream), tpm, send });
  } catch (error) {
    if (!(error instanceof Disconnected)) stream.destroy(error instanceof Error ? error : undefined);
  } finally {
    // What a peer sends after the end is not waited for
    if (stream.writableFinished || stream.destroyed) stream.destroy();
    else stream.end(() => stream.destroy());
  }
}
