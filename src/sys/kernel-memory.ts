/** File systems that only the kernel makes files on: memory that is a file for the kernel's own use. */
import { closeSync, fstatSync } from 'node:fs';
import { SysError } from './error.ts';
import { cPath, native } from './native.ts';

const memfdCreate = native<[Buffer, number], number>('int memfd_create(const uint8_t *name, unsigned int flags)');

// linux/memfd.h, asm-generic/hugetlb_encode.h: the logarithm of the page's size from bit 26 on.
const MFD_CLOEXEC = 0x1;
const MFD_HUGETLB = 0x4;
const SIZE_SHIFT = 26;
const HUGE_PAGE_SIZES = [0, 16, 21, 25, 29, 30]; // the default, 64 KiB, 2 MiB, 32 MiB, 512 MiB, 1 GiB

let found: ReadonlySet<bigint> | undefined;

/**
 * The devices, as `st_dev`, of the kernel's internal tmpfs (shm_mnt: shared anonymous memory, System V segments,
 * memfd_create(2)) and of its internal hugetlbfs, one a page size. Nobody can mount them, so that no file on them was ever
 * opened by a path. Learnt from files of our own on each. Empty where system calls cannot be made.
 * Kernel: mm/shmem.c:shmem_kernel_file_setup, fs/hugetlbfs/inode.c:hugetlb_file_setup.
 */
export function kernelMemoryDevices(): ReadonlySet<bigint> {
  found ??= new Set([0, ...HUGE_PAGE_SIZES.map((size) => MFD_HUGETLB | (size << SIZE_SHIFT))].flatMap(deviceOf));
  return found;
}

/** None where the kernel refuses: pages of a size that this machine does not have. */
function deviceOf(flags: number): bigint[] {
  let fd: number;
  try {
    fd = memfdCreate(cPath('assay'), (flags | MFD_CLOEXEC) >>> 0);
  } catch (error) {
    if (error instanceof SysError) return [];
    throw error;
  }
  if (fd < 0) return [];
  try {
    return [fstatSync(fd, { bigint: true }).dev];
  } finally {
    closeSync(fd);
  }
}
