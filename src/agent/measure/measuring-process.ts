import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { WatchMessage, WatchOrder, WatchSettings } from './watch-control.ts';

/** How long a stop waits for the report in hand. */
const STOP_WITHIN = 3000;
/** How long after SIGKILL the process may take; beyond it the kernel holds it, and it is left behind. */
const DIES_WITHIN = 500;

/** A process that measures, which may be given up at any time: nothing here waits for it without a limit. */
export class MeasuringProcess {
  readonly #child: ChildProcess;
  #isGivenUp = false;

  /** @param onEnd with whether the process said that it would end */
  constructor(
    settings: WatchSettings,
    onMessage: (message: WatchMessage) => void,
    onEnd: (isOrderly: boolean) => void,
  ) {
    const entry = import.meta.url.endsWith('.ts') ? './watch-process.ts' : './watch-process.js';
    // Nothing of ours is open in it: whoever reads our output must not wait for a process that was left behind.
    this.#child = fork(new URL(entry, import.meta.url), {
      cwd: '/',
      execArgv: [],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    let isOrderly = false;
    this.#child.on('message', (message: WatchMessage) => {
      if (this.#isGivenUp) return;
      if (message.kind === 'ended') isOrderly = true;
      onMessage(message);
    });
    const ended = (): void => {
      if (!this.#isGivenUp) onEnd(isOrderly);
    };
    this.#child.on('error', ended); // it could not be started: no `exit` comes then
    this.#child.on('exit', ended);
    this.#order({ kind: 'start', settings });
  }

  /** A report was listed: the next may come. */
  listed(): void {
    this.#order({ kind: 'listed' });
  }

  /** Lets the process end after what it is doing; gives it up where that takes too long. */
  async stop(): Promise<void> {
    if (this.#hasEnded) return;
    this.#order({ kind: 'stop' });
    await this.#ends(STOP_WITHIN);
    await this.giveUp();
  }

  /** Kills the process, and goes on without it where the kernel does not let it die. */
  async giveUp(): Promise<void> {
    this.#isGivenUp = true;
    if (this.#hasEnded) return;
    this.#child.kill('SIGKILL');
    await this.#ends(DIES_WITHIN);
    if (this.#child.connected) this.#child.disconnect();
    this.#child.unref();
  }

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async #ends(milliseconds: number): Promise<void> {
    if (this.#hasEnded) return;
    const timer = new AbortController();
    const timeout = delay(milliseconds, undefined, { signal: timer.signal }).catch(() => undefined);
    await Promise.race([once(this.#child, 'exit'), timeout]);
    timer.abort();
  }

  #order(order: WatchOrder): void {
    if (this.#child.connected) this.#child.send(order, () => undefined); // it may be ending just now
  }
}
