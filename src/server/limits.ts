/** What one caller may cost, and all callers together. Requests are counted by @fastify/rate-limit; bytes here. */

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
    const wait = this.wait(caller, bytes, now);
    if (wait > 0) return wait;
    const left = this.#left(caller, now) - bytes;
    this.#accounts.delete(caller); // to the young end of the map's order
    this.#accounts.set(caller, { left, at: now });
    if (this.#accounts.size > ACCOUNTS) this.#dropOldest();
    return 0;
  }

  /** The milliseconds until the caller could take so much; 0 where it can now. Takes nothing. */
  wait(caller: string, bytes: number, now: number): number {
    const { burst, perSecond } = this.#options;
    const left = this.#left(caller, now);
    return bytes <= left ? 0 : Math.ceil(((Math.min(bytes, burst) - left) / perSecond) * 1000);
  }

  #left(caller: string, now: number): number {
    const { burst, perSecond } = this.#options;
    const { left, at } = this.#accounts.get(caller) ?? { left: burst, at: now };
    return Math.min(burst, left + (Math.max(0, now - at) * perSecond) / 1000);
  }

  #dropOldest(): void {
    const oldest = this.#accounts.keys().next();
    if (oldest.done !== true) this.#accounts.delete(oldest.value);
  }
}

export interface BytesInFlightOptions {
  /** Bytes over all callers. */
  readonly limit: number;
  /** Bytes of one caller. */
  readonly share: number;
}

/** Bytes of bodies that the server holds now: memory that a crowd can take, and one caller's share of it. */
export class BytesInFlight {
  readonly #options: BytesInFlightOptions;
  readonly #byCaller = new Map<string, number>();
  #taken = 0;

  constructor(options: BytesInFlightOptions) {
    this.#options = options;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Takes nothing where the caller's share is used up, or where there is no room at all. */
  take(caller: string, bytes: number): 'taken' | 'share' | 'full' {
    const own = (this.#byCaller.get(caller) ?? 0) + bytes;
    if (own > this.#options.share) return 'share';
    if (this.#taken + bytes > this.#options.limit) return 'full';
    this.#taken += bytes;
    this.#byCaller.set(caller, own);
    return 'taken';
  }

  release(caller: string, bytes: number): void {
    const own = (this.#byCaller.get(caller) ?? 0) - bytes;
    this.#taken -= bytes;
    if (own > 0) this.#byCaller.set(caller, own);
    else this.#byCaller.delete(caller);
  }
}
