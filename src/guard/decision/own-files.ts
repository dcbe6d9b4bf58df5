/** What the guard itself is made of, which it must not wait for: its threads and processes, and the files they run from. */
import type { Requesters } from './requester.ts';

export class OwnFiles {
  readonly #processes: readonly number[];
  readonly #states: Set<string>;
  readonly #requesters: Requesters;

  /** @param states as `stateText` gives them: a file that was changed since is none of them */
  constructor(processes: readonly number[], states: readonly string[], requesters: Requesters) {
    this.#processes = processes;
    this.#states = new Set(states);
    this.#requesters = requesters;
  }

  /** @param state see `stateText` */
  add(state: string): void {
    this.#states.add(state);
  }

  /** @param state see `stateText` */
  isOwnFile(state: string): boolean {
    return this.#states.has(state);
  }

  isOwnThread(id: number): boolean {
    return this.#processes.some((process) => process === id || this.#requesters.hasThread(process, id));
  }
}
