/**
 * Tells subscribers that something happened. Events themselves lie in the store: a notice says only "look again", as
 * PostgreSQL's NOTIFY would, so that a slow subscriber costs no memory and one that comes back misses nothing.
 */

/** What changes too often to be an event: when a host was seen last, and how much of it has been measured. */
export interface Sighting {
  readonly hostId: string;
  readonly lastSeenAt: number;
  readonly measured: number;
}

export interface Subscriber {
  /** New events lie in the store. */
  onEvents(): void;
  /** Hosts that were seen since the last tick. */
  onSightings(sightings: readonly Sighting[]): void;
}

/** Notices are joined over this time, so that a busy second costs each subscriber a bounded number of reads. */
const EVENTS_TICK_MS = 20;
const SIGHTINGS_TICK_MS = 1000;
/** Hosts in one tick; the rest are told by the next one in which they are seen. */
const SIGHTINGS_PER_TICK = 5000;

export class Live {
  readonly #subscribers = new Set<Subscriber>();
  #sightings = new Map<string, Sighting>();
  #eventsTimer: NodeJS.Timeout | undefined;
  #sightingsTimer: NodeJS.Timeout | undefined;

  get subscribers(): number {
    return this.#subscribers.size;
  }

  subscribe(subscriber: Subscriber): () => void {
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  }

  /** To be called after the commit that holds the events. */
  notify(): void {
    if (this.#subscribers.size === 0) return;
    this.#eventsTimer ??= setTimeout(() => {
      this.#eventsTimer = undefined;
      for (const subscriber of this.#subscribers) subscriber.onEvents();
    }, EVENTS_TICK_MS);
  }

  sighted(sighting: Sighting): void {
    if (this.#subscribers.size === 0) return;
    if (this.#sightings.size < SIGHTINGS_PER_TICK) this.#sightings.set(sighting.hostId, sighting);
    this.#sightingsTimer ??= setTimeout(() => this.#tellSightings(), SIGHTINGS_TICK_MS);
  }

  close(): void {
    clearTimeout(this.#eventsTimer);
    clearTimeout(this.#sightingsTimer);
    this.#subscribers.clear();
  }

  #tellSightings(): void {
    this.#sightingsTimer = undefined;
    const sightings = [...this.#sightings.values()];
    this.#sightings = new Map();
    for (const subscriber of this.#subscribers) subscriber.onSightings(sightings);
  }
}
