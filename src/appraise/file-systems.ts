/** File systems by statfs(2)'s magic number (linux/magic.h). */

/** What the kernel makes up while it is read: neither IMA's built-in policies nor a label run look there (ima_policy.c, default_measurement_rules). */
const KERNEL: ReadonlySet<number> = new Set([
  0x9fa0, // proc
  0x62656572, // sysfs
  0x64626720, // debugfs
  0x74726163, // tracefs
  0x1cd1, // devpts
  0x42494e4d, // binfmt_misc
  0x73636673, // securityfs
  0xf97cff8c, // selinuxfs
  0x43415d53, // smackfs
  0x27e0eb, // cgroup
  0x63677270, // cgroup2
  0x6e736673, // nsfs
  0xde5e81e4, // efivarfs
  0xcafe4a11, // bpf
  0x62656570, // configfs
  0x6165676c, // pstore
  0x19800202, // mqueue
]);

const BY_NAME: Readonly<Record<string, number>> = {
  ext2: 0xef53,
  ext3: 0xef53,
  ext4: 0xef53,
  xfs: 0x58465342,
  btrfs: 0x9123683e,
  f2fs: 0xf2f52010,
  tmpfs: 0x01021994,
  ramfs: 0x858458f6,
  overlay: 0x794c7630,
  squashfs: 0x73717368,
  erofs: 0xe0f5e1e2,
  zfs: 0x2fc12fc1,
  nfs: 0x6969,
  vfat: 0x4d44,
  iso9660: 0x9660,
};

export const isKernelFileSystem = (magic: number): boolean => KERNEL.has(magic);

export const fileSystemNames = (): readonly string[] => Object.keys(BY_NAME);

/** The number of a name (`ext4`) or of a number in hexadecimal (`0xef53`); undefined for neither. */
export function fileSystemMagic(name: string): number | undefined {
  if (Object.hasOwn(BY_NAME, name)) return BY_NAME[name];
  return /^0x[0-9a-f]{1,8}$/i.test(name) ? Number(name) : undefined;
}
