/** A TPM character device: one write is a command, one read its response (Linux drivers/char/tpm/tpm-dev-common.c). */
import { type FileHandle, open } from 'node:fs/promises';
import { TpmError } from '../errors.ts';
import type { Transport } from './transport.ts';

const MAX_RESPONSE = 4096;

export async function openDevice(path: string): Promise<Transport> {
  const file = await openFile(path);
  return {
    description: path,
    async execute(command) {
      try {
        await file.write(command, 0, command.length, null);
        const { buffer, bytesRead } = await file.read(new Uint8Array(MAX_RESPONSE), 0, MAX_RESPONSE, null);
        return buffer.subarray(0, bytesRead);
      } catch (cause) {
        throw new TpmError('tpm.transport', `${path}: the driver did not take the command`, { cause });
      }
    },
    close: () => file.close(),
  };
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r+');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    const advice =
      code === 'EACCES'
        ? 'run as root, or as a member of the group tss'
        : code === 'EBUSY'
          ? 'another program holds it; use /dev/tpmrm0, which many can share'
          : 'name another TPM with --tpm';
    throw new TpmError('tpm.transport', `${path} cannot be opened (${String(code)})`, { advice, cause });
  }
}
