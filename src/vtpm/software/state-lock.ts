/** One process at a time uses a state file: two would each overwrite what the other had measured. */
import { readFileSync } from 'node:fs';
import { open, readFile, rm } from 'node:fs/promises';
import { VtpmError } from '../error.ts';

/** When a process started, in clock ticks (proc(5), stat field 22): its number alone may be another's by now. */
function startOf(pid: string): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

async function holderOf(lock: string): Promise<string | undefined> {
  const [pid = '', start = ''] = (await readFile(lock, 'latin1').catch(() => '')).trim().split(' ');
  return /^\d+$/.test(pid) && startOf(pid) === start ? pid : undefined;
}

/** @returns what releases the file @throws {VtpmError} `vtpm.state-in-use` naming the process that has it */
export async function lockStateFile(file: string): Promise<() => Promise<void>> {
  const lock = `${file}.lock`;
  for (let attempt = 0; attempt < 3; attempt++) {
    const handle = await open(lock, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return undefined;
      throw new VtpmError('vtpm.state-io', `the software TPM's state ${file} cannot be locked: ${error.message}`);
    });
    if (handle !== undefined) {
      await handle.writeFile(`${process.pid} ${startOf(String(process.pid)) ?? ''}\n`);
      await handle.close();
      return () => rm(lock, { force: true });
    }
    const holder = await holderOf(lock);
    if (holder !== undefined) throw inUse(file, `process ${holder} uses it`);
    await rm(lock, { force: true }); // its process was killed
  }
  throw inUse(file, 'another process uses it');
}

function inUse(file: string, who: string): VtpmError {
  return new VtpmError('vtpm.state-in-use', `the software TPM ${file} is in use: ${who}`, {
    advice: 'stop that process, or name another TPM with --tpm',
  });
}
