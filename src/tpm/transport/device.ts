/** A TPM character device: one write is a command, one read its response (Linux drivers/char/tpm/tpm-dev-common.c). */
import { type FileHandle, open } from 'node:fs/promises';
import { TpmError } from '../errors.ts';
import type { Transport } from './transport.ts';

const MAX_RESPONSE = 4096;
/** Tag, responseSize, responseCode. */
const HEADER_SIZE = 10;

export async function openDevice(path: string): Promise<Transport> {
  const file = await openFile(path);
  return {
    description: path,
    async execute(command) {
      try {
        await file.write(command, 0, command.length, null);
        const { buffer, bytesRead } = await file.read(new Uint8Array(MAX_RESPONSE), 0, MAX_RESPONSE, null);
        return response(path, buffer.subarray(0, bytesRead));
      } catch (cause) {
        if (cause instanceof TpmError) throw cause;
        throw new TpmError('tpm.transport', `${path}: the driver did not take the command`, { cause });
      }
    },
    close: () => file.close(),
  };
}

/** A driver gives one whole response, whose header says its size (Part 1, 18.4). */
function response(path: string, bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length >= HEADER_SIZE && view.getUint32(2) === bytes.length) return bytes;
  throw isNoTpm(path, 'what it gave is no answer to a TPM command');
}

function isNoTpm(path: string, why: string): TpmError {
  return new TpmError('tpm.transport', `${path} is no TPM: ${why}`, { advice: 'name another TPM with --tpm' });
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    const file = await open(path, 'r+');
    // Before anything is written: a command would overwrite the beginning of an ordinary file.
    if ((await file.stat()).isCharacterDevice()) return file;
    await file.close();
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
  throw isNoTpm(path, 'it is no character device');
}
