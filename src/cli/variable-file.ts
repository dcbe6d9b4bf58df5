/** Files with the data of an EFI variable, in the forms in which people have them. */
import { basename, dirname } from 'node:path';

const ATTRIBUTES = 4;
/** How efivarfs names its files; copies keep the name. */
const EFIVARFS = /^\w+-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** UEFI 2.10, 8.2.2: EFI_VARIABLE_AUTHENTICATION_2: a time, then WIN_CERTIFICATE with its length, revision and type. */
const AUTHENTICATION = { time: 16, type: 16 + 6, guid: 0x0ef1, header: 24 } as const;

/**
 * The variable's data: a file of efivarfs begins with attributes (Documentation/filesystems/efivarfs.rst), an update that
 * is signed (`.auth`) with its signature; others are the data itself, as `.esl`.
 */
export function variableData(path: string, bytes: Buffer): Buffer {
  if (basename(dirname(path)) === 'efivars' || EFIVARFS.test(basename(path))) return bytes.subarray(ATTRIBUTES);
  if (bytes.length < AUTHENTICATION.header || bytes.readUInt16LE(AUTHENTICATION.type) !== AUTHENTICATION.guid)
    return bytes;
  const data = AUTHENTICATION.time + bytes.readUInt32LE(AUTHENTICATION.time);
  return data <= bytes.length ? bytes.subarray(data) : bytes;
}
