/** The `assay` command as a user starts it: through `bin/assay`, in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export const ASSAY = join(import.meta.dirname, '../../../bin/assay');

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a `Spawned` process wrote so far, and its end. */
export class Spawned {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  #stdout = '';
  #stderr = '';
  #grown = Promise.withResolvers<void>();

  constructor(command: readonly [string, ...string[]], env: Readonly<Record<string, string>> = {}) {
    const [program, ...args] = command;
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('ASSAY_'));
    this.child = spawn(program, args, {
      env: { ...Object.fromEntries(inherited), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout?.on('data', (part: Buffer) => this.#grow(() => (this.#stdout += part.toString('utf8'))));
    this.child.stderr?.on('data', (part: Buffer) => this.#grow(() => (this.#stderr += part.toString('utf8'))));
    this.ended = once(this.child, 'close').then(([status]) => ({
      status,
      stdout: this.#stdout,
      stderr: this.#stderr,
    }));
    this.ended.then(() => this.#grow(() => {}));
  }

  /** Standard output so far. */
  get output(): string {
    return this.#stdout;
  }

  /** Standard error so far. */
  get complaints(): string {
    return this.#stderr;
  }

  /** Resolves with the match once standard output has one. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#stdout);
      if (match !== null) return match;
      if (this.child.exitCode !== null) throw new Error(`it ended and never said ${pattern}: ${this.#stderr}`);
      await this.#grown.promise;
    }
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Ended> {
    this.child.kill(signal);
    return await this.ended;
  }

  #grow(add: () => void): void {
    add();
    this.#grown.resolve();
    this.#grown = Promise.withResolvers();
  }
}

export async function assay(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ended> {
  return await new Spawned([ASSAY, ...args], env).ended;
}
