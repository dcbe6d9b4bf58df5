/** kexec_file_load(2): the one call here whose file may bear an appended signature (ima_policy.c, ima_validate_rule). */
import { closeSync, openSync } from 'node:fs';
import { errnoName } from '../../../src/sys/error.ts';
import { errno, native } from '../../../src/sys/native.ts';

const syscall = native<[number, number, number, number, string, number], number>(
  'long syscall(long number, long kernel, long initrd, unsigned long length, const char *line, unsigned long flags)',
);

const KEXEC_FILE_LOAD = 320; // x86-64
const KEXEC_FILE_NO_INITRAMFS = 4;

/** Hands the file to the kernel as the next one: `ok` where only its form is refused, which comes after the appraisal. */
export function loadAsKernel(path: string): string {
  const fd = openSync(path, 'r');
  try {
    if (syscall(KEXEC_FILE_LOAD, fd, -1, 1, '', KEXEC_FILE_NO_INITRAMFS) === 0) return 'ok';
    const name = errnoName(errno());
    return name === 'ENOEXEC' ? 'ok' : name;
  } finally {
    closeSync(fd);
  }
}
