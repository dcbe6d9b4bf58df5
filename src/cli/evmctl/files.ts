/** The files that a command works on, one after the other, each with its own failure. */
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DigestAlgorithm } from '../../bytes/index.ts';
import { hashContent } from '../../sys/index.ts';
import { EvmctlError } from './error.ts';
import { reason } from './keys.ts';
import type { EvmctlOptions } from './options.ts';

/** @throws {EvmctlError} `evmctl.file` for what is no regular file, or cannot be read */
export function fileDigest(path: string, algorithm: DigestAlgorithm): Buffer {
  return withRegularFile(path, (fd) => {
    const { digests } = hashContent(fd, [algorithm], Number.MAX_SAFE_INTEGER);
    if (digests === undefined) throw new EvmctlError('evmctl.file', `${path}: too long`);
    return digests[algorithm];
  });
}

/** O_NONBLOCK: a FIFO without a writer must not hold the command up. */
export function withRegularFile<T>(path: string, use: (fd: number) => T): T {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw new EvmctlError('evmctl.file', `Failed to open ${path}: ${reason(cause)}`, { cause });
  }
  try {
    if (!fstatSync(fd).isFile()) throw new EvmctlError('evmctl.file', `${path}: not a regular file`);
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Does `work` on the file, or with `-r` on every regular file below it. Unlike evmctl, which goes on as if nothing had
 * happened, a file that fails under `-r` is told, and counted in what is returned.
 */
export function eachFile(
  path: string,
  options: EvmctlOptions,
  complain: (line: string) => void,
  work: (path: string) => void,
): number {
  if (!options.isRecursive) {
    work(path);
    return 0;
  }
  const device = options.types.includes('m') ? lstatSync(path).dev : undefined;
  let failed = 0;
  for (const file of filesBelow(path, device, complain)) {
    try {
      work(file);
    } catch (error) {
      failed++;
      complain(`${file}: ${reason(error)}`);
    }
  }
  return failed;
}

function* filesBelow(folder: string, device: number | undefined, complain: (line: string) => void): Generator<string> {
  if (device !== undefined && lstatSync(folder).dev !== device) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    try {
      if (entry.isDirectory()) yield* filesBelow(path, device, complain);
    } catch (error) {
      complain(`${path}: ${reason(error)}`);
    }
    if (entry.isFile()) yield path;
  }
}
