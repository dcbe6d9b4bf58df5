/** Starting processes that never outlive the test. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Starts a program; the kernel kills it when the test's own process dies (prctl(2), PR_SET_PDEATHSIG), however that
 * happens. Standard error is always a pipe.
 */
export function start(
  program: string,
  args: readonly string[],
  stdout: 'ignore' | 'pipe',
  stdin: 'ignore' | 'pipe' = 'ignore',
): ChildProcess {
  return spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], { stdio: [stdin, stdout, 'pipe'] });
}

/** Ends a process that was started here, and waits until it is gone. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
