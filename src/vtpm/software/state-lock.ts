/**
 * One process at a time uses a state file: two would each overwrite what the other had measured. Who has it stands in
 * `FILE.lock`, which the kernel keeps locked as long as that process lives, in whichever container it does.
 */
import { lockFile } from '../../sys/index.ts';
import { stateIo, VtpmError } from '../error.ts';

/** @returns what releases the file @throws {VtpmError} `vtpm.state-in-use` naming the process that has it, `vtpm.state-io` */
export async function lockStateFile(file: string): Promise<() => Promise<void>> {
  const lock = locked(file);
  if ('heldBy' in lock) throw inUse(file, lock.heldBy);
  return async () => lock.release();
}

function locked(file: string): ReturnType<typeof lockFile> {
  try {
    return lockFile(`${file}.lock`, `${process.pid}\n`);
  } catch (error) {
    throw stateIo(`the software TPM's state ${file} cannot be locked`, error);
  }
}

/** The number is what the holder knows itself by: in another container it is another one here. */
function inUse(file: string, words: string): VtpmError {
  const [, pid] = /^(\d{1,10})\n$/.exec(words) ?? [];
  const who = pid === undefined ? 'another process' : `process ${pid}`;
  return new VtpmError('vtpm.state-in-use', `the software TPM ${file} is in use: ${who} uses it`, {
    advice: 'stop that process, or name another TPM with --tpm',
  });
}
