import { type WriteFileOptions, writeFileSync } from 'node:fs';

/** As `writeFileSync`, and its error names the file also where the disk refuses after the file was opened. */
export function writeOutput(path: string, content: string | Uint8Array, options?: WriteFileOptions): void {
  try {
    writeFileSync(path, content, options);
  } catch (error) {
    if (error instanceof Error && 'syscall' in error && !('path' in error)) Object.assign(error, { path });
    throw error;
  }
}
