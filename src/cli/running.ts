/** Who uses a data folder, for the one who comes second: the locks beneath say only that somebody does. */
import { existsSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ServerError } from '../server/index.ts';
import { replaceFile } from '../sys/index.ts';
import { VtpmError } from '../vtpm/index.ts';
import { DataFolderError } from './data-folder.ts';

const FILE = 'running.json';

/** Notes that this process serves from the folder. @returns what takes the note away */
export async function noteRunning(folder: string, command: string, url: string): Promise<() => Promise<void>> {
  const file = join(folder, FILE);
  await replaceFile(file, `${JSON.stringify({ pid: process.pid, command, url })}\n`, { durable: false });
  return () => rm(file, { force: true });
}

/** The error of a data folder that another process has locked, with that process and what to do; any other as it is. */
export function inUse(folder: string, error: unknown): unknown {
  const isTpm = error instanceof VtpmError && error.code === 'vtpm.state-in-use' && error.message.includes(folder);
  if (!isTpm && !(error instanceof ServerError && error.code === 'store.in-use')) return error;
  const running = readRunning(join(folder, FILE));
  const who =
    running === undefined ? error.message : `${running.command} runs on it at ${running.url} (process ${running.pid})`;
  const end =
    running === undefined ? 'wait for that process or stop it' : `use that one, or stop it with kill ${running.pid}`;
  return new DataFolderError('data-folder.in-use', `the data folder ${folder} is in use: ${who}`, {
    advice: `${end}, or name another data folder with --data DIR`,
    exitCode: 3,
    cause: error,
  });
}

interface Running {
  readonly pid: number;
  readonly command: string;
  readonly url: string;
}

/** undefined where the note is missing, damaged, or of a process that was killed. */
function readRunning(file: string): Running | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return isRunning(value) && existsSync(`/proc/${value.pid}`) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRunning(value: unknown): value is Running {
  if (typeof value !== 'object' || value === null) return false;
  const { pid, command, url } = value as Readonly<Record<string, unknown>>;
  return Number.isSafeInteger(pid) && typeof command === 'string' && typeof url === 'string';
}
