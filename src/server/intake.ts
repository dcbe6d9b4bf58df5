/**
 * The bodies that agents send. Each is charged as it arrives: what a sender only announces costs nobody anything. Small
 * bodies have memory of their own, so that no crowd of large ones keeps a host from its everyday evidence.
 */
import { ServerError } from './error.ts';
import { ByteBudget, BytesInFlight } from './limits.ts';

/** A body with more is large; a host has one such at a time. */
export const SMALL_BODY = 256 * 1024;
const SMALL_IN_FLIGHT = 256 * 1024 * 1024;
/** A host's agent sends one message at a time; room for those that its last connections lost. */
const SMALL_SHARE = 4 * SMALL_BODY;
const LARGE_IN_FLIGHT = 256 * 1024 * 1024;
const BYTES_PER_SECOND = 2 * 1024 * 1024;
/** Until something that a host has under way has ended, one way or the other. */
const SOON_MS = 5000;

export interface Unwelcome {
  readonly error: ServerError;
  /** When to try again. */
  readonly waitMs: number;
}

export class Intake {
  readonly #budget: ByteBudget;
  readonly #small = new BytesInFlight({ limit: SMALL_IN_FLIGHT, share: SMALL_SHARE });
  readonly #large: BytesInFlight;
  /** Callers that are sending a large body. */
  readonly #senders = new Set<string>();
  readonly #now: () => number;

  constructor(options: { readonly maxBody: number; readonly now: () => number }) {
    const { maxBody, now } = options;
    this.#budget = new ByteBudget({ burst: 2 * maxBody, perSecond: BYTES_PER_SECOND });
    this.#large = new BytesInFlight({ limit: Math.max(LARGE_IN_FLIGHT, maxBody), share: maxBody });
    this.#now = now;
  }

  /** Bytes that are charged to memory now. */
  get inFlight(): number {
    return this.#small.taken + this.#large.taken;
  }

  /** Why a body of so many announced bytes would be refused before its end. Charges nothing. */
  refusalOf(caller: string, announced: number): Unwelcome | undefined {
    const wait = this.#budget.wait(caller, announced, this.#now());
    if (wait > 0) return sentTooMuch(wait);
    return announced > SMALL_BODY && this.#senders.has(caller) ? oneLargeAtATime() : undefined;
  }

  /** To be closed whatever becomes of the request. */
  open(caller: string): IncomingBody {
    let held = 0;
    let isLarge = false;
    let isClosed = false;
    const room = () => (isLarge ? this.#large : this.#small);
    return {
      take: (bytes) => {
        if (isClosed) return undefined; // nobody keeps it
        const wait = this.#budget.take(caller, bytes, this.#now());
        if (wait > 0) return sentTooMuch(wait);
        if (!isLarge && held + bytes > SMALL_BODY) {
          if (this.#senders.has(caller)) return oneLargeAtATime();
          const moved = this.#large.take(caller, held);
          if (moved !== 'taken') return noRoom(moved);
          this.#small.release(caller, held);
          this.#senders.add(caller);
          isLarge = true;
        }
        const taken = room().take(caller, bytes);
        if (taken !== 'taken') return noRoom(taken);
        held += bytes;
        return undefined;
      },
      close: () => {
        if (isClosed) return;
        isClosed = true;
        room().release(caller, held);
        if (isLarge) this.#senders.delete(caller);
      },
    };
  }
}

export interface IncomingBody {
  /** Charges what has arrived; says why it is refused, and the request with it. */
  take(bytes: number): Unwelcome | undefined;
  /** Gives everything back that it holds; what was sent stays charged to the sender's budget. */
  close(): void;
}

function sentTooMuch(waitMs: number): Unwelcome {
  const seconds = Math.ceil(waitMs / 1000);
  return { error: new ServerError('rate.limited', `the host has sent too much; wait ${seconds} s`), waitMs };
}

function oneLargeAtATime(): Unwelcome {
  const words = `the host is sending a message of more than ${SMALL_BODY / 1024} KiB already; it may send one at a time`;
  return { error: new ServerError('rate.limited', words), waitMs: SOON_MS };
}

function noRoom(why: 'share' | 'full'): Unwelcome {
  const error =
    why === 'share'
      ? new ServerError('rate.limited', 'the host sends too much at once')
      : new ServerError('server.busy', 'too much is being received', { advice: 'try again' });
  return { error, waitMs: SOON_MS };
}
