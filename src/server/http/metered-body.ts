/** A request's body on its way to the parser: charged chunk by chunk, and cut where it does not come on. */
import { Transform, type TransformCallback } from 'node:stream';
import { ServerError } from '../error.ts';
import type { IncomingBody, Unwelcome } from '../intake.ts';

/** A body that has not ended brings so much in each window (16 KiB a second), or it is cut. */
const WINDOW_MS = 5000;
const WINDOW_BYTES = 80 * 1024;

/** Fails with a `ServerError`; `onUnwelcome` hears before that when to try again. */
export class MeteredBody extends Transform {
  readonly #body: IncomingBody;
  readonly #onUnwelcome: (unwelcome: Unwelcome) => void;
  readonly #pace: NodeJS.Timeout;
  #arrived = 0;

  constructor(body: IncomingBody, onUnwelcome: (unwelcome: Unwelcome) => void) {
    super();
    this.#body = body;
    this.#onUnwelcome = onUnwelcome;
    // Timers run before sockets are read: after the server itself was held up, what waits in the socket counts too.
    this.#pace = setInterval(() => setImmediate(() => this.#look()), WINDOW_MS);
    // The parser stops listening when it has seen too much, and an error that nobody hears would end the process.
    this.on('error', () => undefined);
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.#arrived += chunk.length;
    const unwelcome = this.#body.take(chunk.length);
    if (unwelcome === undefined) {
      done(null, chunk);
    } else {
      this.#onUnwelcome(unwelcome);
      done(unwelcome.error);
    }
  }

  override _flush(done: TransformCallback): void {
    clearInterval(this.#pace);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearInterval(this.#pace);
    done(error);
  }

  #look(): void {
    const isSlow = this.#arrived < WINDOW_BYTES && !this.writableEnded;
    this.#arrived = 0;
    if (!isSlow) return;
    this.destroy(
      new ServerError('request.too-slow', `less than ${WINDOW_BYTES / 1024} KiB came in ${WINDOW_MS / 1000} s`),
    );
  }
}
