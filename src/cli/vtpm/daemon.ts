/** `--daemon`: the service in a process of its own, which outlives the terminal; this one ends when that one serves. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Set for the process that serves. */
const SERVING = 'ASSAY_VTPM_SERVING';

export const isDaemonChild = (): boolean => process.env[SERVING] !== undefined && process.send !== undefined;

/** Tells the process that waits, and lets it go. */
export function tellServing(): void {
  if (!isDaemonChild()) return;
  process.send?.('serving', () => process.disconnect());
}

/**
 * Starts this command again, with the descriptors that it names under the same numbers.
 * @returns its exit code where it ended before it served; 0 where it serves
 */
export async function startDaemon(descriptors: readonly number[]): Promise<number> {
  const highest = Math.max(2, ...descriptors);
  const stdio = Array.from({ length: highest + 1 }, (_, fd) => (descriptors.includes(fd) ? fd : ('ignore' as const)));
  const [script = '', ...args] = process.argv.slice(1);
  const child = spawn(process.execPath, [...process.execArgv, script, ...args], {
    detached: true,
    env: { ...process.env, [SERVING]: '1' },
    stdio: ['ignore', 'ignore', 'pipe', ...stdio.slice(3), 'ipc'],
  });
  child.stderr?.pipe(process.stderr);
  const served = once(child, 'message').then(() => 0);
  const ended = once(child, 'exit').then(([code]: unknown[]) => (typeof code === 'number' ? code : 3));
  const code = await Promise.race([served, ended]);
  child.stderr?.destroy();
  child.unref();
  return code;
}
