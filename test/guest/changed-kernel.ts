/** Another kernel that still boots. */
import { execFile } from 'node:child_process';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Documentation/arch/x86/boot.rst: `kernel_version` points, from 0x200 on, at a text that only the real-mode part shows. */
const KERNEL_VERSION = { pointer: 0x20e, base: 0x200 } as const;

/** Takes the signature off, if there is one, and changes a letter of the version, so that both the file and its Authenticode digest differ. */
export async function changedKernel(kernel: string, changed: string): Promise<string> {
  await copyFile(kernel, changed);
  await removeSignature(changed);
  const image = await readFile(changed);
  const version = image.readUInt16LE(KERNEL_VERSION.pointer) + KERNEL_VERSION.base;
  image.writeUInt8(image.readUInt8(version) ^ 1, version);
  await writeFile(changed, image);
  return changed;
}

/** A kernel that nobody has signed is as it is. */
async function removeSignature(image: string): Promise<void> {
  try {
    await run('sbattach', ['--remove', image]);
  } catch (error) {
    if (!String(error).includes('image has no signature')) throw error;
  }
}
