/** The watchdog, seen from the guard that it looks after. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closePipeEnd, hearPipe, openPipe, tellPipe } from '../../sys/index.ts';
import { GuardError } from '../error.ts';

/** What comes of accesses when the guard has ended or hangs. */
export const FAIL_MODES = ['open', 'closed'] as const;
export type FailMode = (typeof FAIL_MODES)[number];

export interface WatchdogOptions {
  readonly guard: number;
  readonly fail: FailMode;
  /** How long the guard may be silent. */
  readonly hangMs: number;
}

/** Said by the watchdog: it is ready. By the guard: it ends in order. */
export const READY: Uint8Array = Uint8Array.of(1);
export const GOODBYE = 2;
/** Said by the guard at every round. */
export const BEAT: Uint8Array = Uint8Array.of(3);

/** How long the watchdog may take to start. */
const START_MS = 20_000;
const LOOK_MS = 10;

const ENTRY = new URL(import.meta.url.endsWith('.ts') ? './process.ts' : './process.js', import.meta.url);

export interface WatchdogStart extends Omit<WatchdogOptions, 'guard'> {
  /** Descriptors of the permission events. */
  readonly groups: { readonly local: number; readonly remote: number };
  /** It ended by itself: nobody looks after the guard. */
  readonly onEnd: () => void;
}

export class Watchdog {
  readonly #child: ChildProcess;
  readonly #heart: number;
  #isDismissed = false;

  private constructor(child: ChildProcess, heart: number, onEnd: () => void) {
    this.#child = child;
    this.#heart = heart;
    child.unref();
    child.once('exit', () => {
      if (!this.#isDismissed) onEnd();
    });
  }

  /**
   * Resolves when it looks after this process, which has to say that it is alive from then on.
   * @throws {GuardError} `guard.failed`
   */
  static async start({ groups, fail, hangMs, onEnd }: WatchdogStart): Promise<Watchdog> {
    const heart = openPipe();
    const voice = openPipe();
    const options: WatchdogOptions = { guard: process.pid, fail, hangMs };
    const execArgv = ['--disable-warning=ExperimentalWarning', '--max-old-space-size=64'];
    const child = spawn(process.execPath, [...execArgv, ENTRY.pathname, JSON.stringify(options)], {
      cwd: '/',
      detached: true, // what stops our process group must not stop it
      stdio: ['ignore', 'ignore', 'inherit', heart.read, voice.write, groups.local, groups.remote],
    });
    closePipeEnd(heart.read);
    closePipeEnd(voice.write);
    const isReady = await says(child, voice.read);
    closePipeEnd(voice.read);
    if (!isReady) {
      closePipeEnd(heart.write);
      throw new GuardError('guard.failed', 'the watchdog did not start', { advice: 'see what it says on stderr' });
    }
    return new Watchdog(child, heart.write, onEnd);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Where beats are told. */
  get heart(): number {
    return this.#heart;
  }

  /** The guard ends in order, and the watchdog with it. */
  dismiss(): void {
    this.#isDismissed = true;
    tellPipe(this.#heart, Uint8Array.of(GOODBYE));
    closePipeEnd(this.#heart);
  }
}

async function says(child: ChildProcess, voice: number): Promise<boolean> {
  const said = new Uint8Array(1);
  for (const end = performance.now() + START_MS; performance.now() < end; ) {
    const length = hearPipe(voice, said);
    if (length === 1) return true;
    if (length === 0 || child.exitCode !== null || child.signalCode !== null) return false;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  child.kill('SIGKILL');
  return false;
}
