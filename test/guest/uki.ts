/** Unified kernel images, as `ukify` makes them where systemd has it (253 and newer; Debian 12 has 252). */
import { execFile } from 'node:child_process';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Payload } from './boot-way.ts';

const run = promisify(execFile);

/** What the stub reads from `.osrel`; systemd-boot shows it and sorts by it. */
const OS_RELEASE = 'ID=assay-guest\nNAME="Assay guest"\nPRETTY_NAME="Assay guest"\nVERSION_ID=1\n';

const PAGE = 0x1000;
/** Above every section of the stub itself. */
const FIRST_ADDRESS = 0x100_000;

/** Puts the parts behind the stub as sections; the stub finds them by name, so that only their places have to be free. */
export async function makeUki(stub: string, payload: Payload, image: string): Promise<void> {
  await writeFile(`${image}.osrel`, OS_RELEASE);
  await writeFile(`${image}.cmdline`, payload.commandLine);
  const sections = [
    ['.osrel', `${image}.osrel`],
    ['.cmdline', `${image}.cmdline`],
    ['.linux', payload.kernel],
    ['.initrd', payload.initramfs],
  ] as const;
  const options: string[] = [];
  let address = FIRST_ADDRESS;
  for (const [name, file] of sections) {
    options.push('--add-section', `${name}=${file}`, '--change-section-vma', `${name}=0x${address.toString(16)}`);
    address += Math.ceil(((await stat(file)).size + 1) / PAGE) * PAGE;
  }
  await run('objcopy', [...options, stub, image]);
  await setTimeStamp(image, 0);
}

/** PE format: `e_lfanew` in the DOS header, and TimeDateStamp behind the signature, the machine and the section count. */
const PE = { headerPointer: 0x3c, timeStamp: 8 } as const;

/** objcopy writes the time of day there: equal parts would not make an equal image. */
async function setTimeStamp(image: string, seconds: number): Promise<void> {
  const bytes = await readFile(image);
  bytes.writeUInt32LE(seconds, bytes.readUInt32LE(PE.headerPointer) + PE.timeStamp);
  await writeFile(image, bytes);
}
