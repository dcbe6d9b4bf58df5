/** What the kernel knows of an inode beyond stat(2): its generation and its fs-verity digest. */
import { constants } from 'node:os';
import type { DigestAlgorithm } from '../bytes/index.ts';
import { callFailed, SysError } from './error.ts';
import { errno, native } from './native.ts';

const ioctl = native<[number, number, Buffer], number>(
  'int ioctl(int fd, unsigned long request, _Inout_ uint8_t *argument)',
);

// linux/fs.h, linux/fsverity.h, in the numbering of asm-generic/ioctl.h (x86, arm64).
const FS_IOC_GETVERSION = 0x80087601; // _IOR('v', 1, long)
const FS_IOC_GETFSUUID = 0x80111500; // _IOR(0x15, 0, struct fsuuid2), since Linux 6.9
const FS_IOC_MEASURE_VERITY = 0xc0046686; // _IOWR('f', 134, struct fsverity_digest)

/** What a file system answers to an ioctl that it does not have: ENOTTY, and some others by habit. */
const NOT_SUPPORTED: readonly number[] = [
  constants.errno.ENOTTY,
  constants.errno.EOPNOTSUPP,
  constants.errno.ENOSYS,
  constants.errno.EINVAL,
];

/**
 * The generation of the inode (`i_generation`), which tells two files apart that had the same number one after the other.
 * @param fd open for reading, of a regular file or directory
 * @throws {SysError} `sys.not-supported` where the file system keeps none (tmpfs, procfs, …)
 */
export function inodeGeneration(fd: number): number {
  // Declared as long, filled as int by every file system (fs/ext4/ioctl.c: put_user(…, (int __user *) arg)).
  const generation = Buffer.alloc(8);
  if (ioctl(fd, FS_IOC_GETVERSION, generation) === 0) return generation.readUInt32LE(0);
  if (NOT_SUPPORTED.includes(errno())) {
    throw new SysError('sys.not-supported', `descriptor ${fd}: its file system keeps no inode generation`, {
      advice: 'give the generation, or use a file system that has it (ext4, xfs, btrfs)',
    });
  }
  throw callFailed('ioctl FS_IOC_GETVERSION', `descriptor ${fd}`, errno());
}

/** The UUID as the kernel itself has it (`s_uuid`); undefined where this kernel does not tell, or the file system has none. */
export function kernelFileSystemUuid(fd: number): Buffer | undefined {
  const answer = Buffer.alloc(17);
  if (ioctl(fd, FS_IOC_GETFSUUID, answer) !== 0) return undefined;
  return answer.readUInt8(0) === 16 ? answer.subarray(1) : undefined;
}

/** FS_VERITY_HASH_ALG_* of linux/fsverity.h. */
const VERITY_ALGORITHM: Readonly<Record<number, DigestAlgorithm>> = { 1: 'sha256', 2: 'sha512' };
const MAX_VERITY_DIGEST = 64;

export interface VerityDigest {
  readonly algorithm: DigestAlgorithm;
  /** H(struct fsverity_descriptor): what fs-verity calls the file digest. */
  readonly digest: Buffer;
}

/**
 * The fs-verity digest of a file; undefined where it has none, or its file system or kernel has no fs-verity.
 * @param fd open for reading
 * @throws {SysError} where the kernel refuses, or has an algorithm that is not known here
 */
export function verityDigest(fd: number): VerityDigest | undefined {
  const answer = Buffer.alloc(4 + MAX_VERITY_DIGEST);
  answer.writeUInt16LE(MAX_VERITY_DIGEST, 2);
  if (ioctl(fd, FS_IOC_MEASURE_VERITY, answer) !== 0) {
    if (errno() === constants.errno.ENODATA || NOT_SUPPORTED.includes(errno())) return undefined;
    throw callFailed('ioctl FS_IOC_MEASURE_VERITY', `descriptor ${fd}`, errno());
  }
  const algorithm = VERITY_ALGORITHM[answer.readUInt16LE(0)];
  if (algorithm === undefined) {
    throw new SysError('sys.not-supported', `fs-verity algorithm ${answer.readUInt16LE(0)} is not known`);
  }
  return { algorithm, digest: answer.subarray(4, 4 + answer.readUInt16LE(2)) };
}
