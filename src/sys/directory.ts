/** Names in a folder, as bytes: getdents64(2) without a string or an object for each. */
import { callFailed } from './error.ts';
import { errno, native } from './native.ts';

const getdents64 = native<[number, Buffer, number], number>(
  'int64_t getdents64(int fd, _Out_ uint8_t *buffer, size_t size)',
);

export type EntryType = 'file' | 'directory' | 'link' | 'fifo' | 'socket' | 'char-device' | 'block-device' | 'unknown';

/** DT_* of dirent.h. */
const TYPES: Readonly<Record<number, EntryType>> = {
  1: 'fifo',
  2: 'char-device',
  4: 'directory',
  6: 'block-device',
  8: 'file',
  10: 'link',
  12: 'socket',
};

const HEADER_SIZE = 19;
const BUFFER = Buffer.allocUnsafeSlow(1 << 18);
const DOT = 0x2e;

/**
 * Calls `use` for each entry but `.` and `..`, in the folder's own order.
 * @param use the name's bytes with the NUL that ends it, overwritten after the call; `ino()` is the number of the inode
 *   under the name: of a mount point the one that is hidden
 * @throws {SysError}
 */
export function readDirectory(fd: number, use: (name: Buffer, type: EntryType, ino: () => bigint) => void): void {
  for (;;) {
    const filled = Number(getdents64(fd, BUFFER, BUFFER.length));
    if (filled < 0) throw callFailed('getdents64', '', errno());
    if (filled === 0) return;
    // struct linux_dirent64: inode 8, offset 8, record length 2, type 1, name
    for (let at = 0; at < filled; ) {
      const entry = at;
      const next = at + BUFFER.readUInt16LE(at + 16);
      const nameAt = at + HEADER_SIZE;
      const name = BUFFER.subarray(nameAt, BUFFER.indexOf(0, nameAt) + 1);
      if (!isDot(name)) use(name, TYPES[BUFFER[at + 18] ?? 0] ?? 'unknown', () => BUFFER.readBigUInt64LE(entry));
      at = next;
    }
  }
}

function isDot(name: Buffer): boolean {
  return name[0] === DOT && (name.length === 2 || (name.length === 3 && name[1] === DOT));
}
