/** What one caller may cost. Requests are counted by @fastify/rate-limit; bytes here. */

export interface ByteBudgetOptions {
  /** Bytes that a caller may send at once. */
  readonly burst: number;
  /** Bytes a second that it gains back. */
  readonly perSecond: number;
}

interface Account {
  left: number;
  at: number;
}

/** How many callers are remembered; one that is forgotten begins with a full budget, which is what it had after idling. */
const ACCOUNTS = 20_000;

/** A token bucket of bytes per caller: a host that sends whole lists over and over waits, the others do not notice. */
export class ByteBudget {
  readonly #options: ByteBudgetOptions;
  readonly #accounts = new Map<string, Account>();

  constructor(options: ByteBudgetOptions) {
    this.#options = options;
  }

  /** Takes `bytes` from the caller's budget. Gives 0, or the milliseconds to wait where it does not have them. */
  take(caller: string, bytes: number, now: number): number {
    const { burst, perSecond } = this.#options;
    const before = this.#accounts.get(caller) ?? { left: burst, at: now };
    const left = Math.min(burst, before.left + (Math.max(0, now - before.at) * perSecond) / 1000);
    if (bytes > left) return Math.ceil(((Math.min(bytes, burst) - left) / perSecond) * 1000);
    this.#accounts.delete(caller); // to the young end of the map's order
    this.#accounts.set(caller, { left: left - bytes, at: now });
    if (this.#accounts.size > ACCOUNTS) this.#dropOldest();
    return 0;
  }

  #dropOldest(): void {
    const oldest = this.#accounts.keys().next();
    if (oldest.done !== true) this.#accounts.delete(oldest.value);
  }
}

/** Bytes of bodies that are being received now, over all callers: memory that a crowd can take. */
export class BytesInFlight {
  readonly #limit: number;
  #taken = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** False where there is no room; a single body always finds room in an idle server. */
  take(bytes: number): boolean {
    if (this.#taken > 0 && this.#taken + bytes > this.#limit) return false;
    this.#taken += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#taken -= bytes;
  }
}
