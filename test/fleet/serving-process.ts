/** A server in a process of its own that a test kills. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { ServeOptions, Serving } from './serve.ts';

const SERVE = join(import.meta.dirname, 'serve.ts');

export interface ServingProcess {
  readonly child: ChildProcess;
  readonly serving: Serving;
}

/** Resolves once it listens. */
export function serveInProcess(options: ServeOptions): Promise<ServingProcess> {
  const env = { ...process.env, NODE_COMPILE_CACHE: join(options.dataFolder, 'compiled') };
  const child = spawn(process.execPath, [SERVE, JSON.stringify(options)], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (part: Buffer) => {
      text += part.toString('utf8');
      if (text.endsWith('\n')) resolve({ child, serving: JSON.parse(text) });
    });
    child.once('exit', (code) => reject(new Error(`the server ended with ${code} before it listened`)));
  });
}

/** kill -9. */
export async function killServer(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}
