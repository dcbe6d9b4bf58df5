/** Event streams that are open, over all listeners and of one caller. */
const MAX_STREAMS = 256;
/** Pages of one browser share their session's; a program needs one. */
const MAX_OF_ONE = 8;

export class OpenStreams {
  readonly #byCaller = new Map<string, number>();
  #open = 0;

  /** Takes a place at once: who asks must not wait for anything between looking and taking. */
  take(caller: string): 'taken' | 'own' | 'full' {
    const own = this.#byCaller.get(caller) ?? 0;
    if (own >= MAX_OF_ONE) return 'own';
    if (this.#open >= MAX_STREAMS) return 'full';
    this.#open += 1;
    this.#byCaller.set(caller, own + 1);
    return 'taken';
  }

  release(caller: string): void {
    const own = (this.#byCaller.get(caller) ?? 0) - 1;
    this.#open -= 1;
    if (own > 0) this.#byCaller.set(caller, own);
    else this.#byCaller.delete(caller);
  }
}
