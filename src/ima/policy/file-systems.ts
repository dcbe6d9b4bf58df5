/** File systems as policies name them (include/uapi/linux/magic.h), and whether labels can exist on them. */

export interface KnownFileSystem {
  /** `s_type->name`, as `fsname=` has it. */
  readonly name: string;
  /** The constant of magic.h. */
  readonly constant: string;
  readonly magic: number;
  /**
   * `pseudo`: what the kernel makes up while it is read; nothing to label.
   * `memory`: files that are gone at the next boot, with their labels.
   * `none`: a disk's format without extended attributes.
   * `labels`: extended attributes stay on it.
   */
  readonly kind: 'pseudo' | 'memory' | 'none' | 'labels';
}

const pseudo = (name: string, constant: string, magic: number): KnownFileSystem => ({
  name,
  constant,
  magic,
  kind: 'pseudo',
});
const stored = (name: string, constant: string, magic: number, kind: KnownFileSystem['kind']): KnownFileSystem => ({
  name,
  constant,
  magic,
  kind,
});

/** ext2 and ext3 have ext4's number, so that a number may have several names. */
export const FILE_SYSTEMS: readonly KnownFileSystem[] = [
  pseudo('proc', 'PROC_SUPER_MAGIC', 0x9fa0),
  pseudo('sysfs', 'SYSFS_MAGIC', 0x62656572),
  pseudo('debugfs', 'DEBUGFS_MAGIC', 0x64626720),
  pseudo('tracefs', 'TRACEFS_MAGIC', 0x74726163),
  pseudo('devpts', 'DEVPTS_SUPER_MAGIC', 0x1cd1),
  pseudo('binfmt_misc', 'BINFMTFS_MAGIC', 0x42494e4d),
  pseudo('securityfs', 'SECURITYFS_MAGIC', 0x73636673),
  pseudo('selinuxfs', 'SELINUX_MAGIC', 0xf97cff8c),
  pseudo('smackfs', 'SMACK_MAGIC', 0x43415d53),
  pseudo('cgroup', 'CGROUP_SUPER_MAGIC', 0x27e0eb),
  pseudo('cgroup2', 'CGROUP2_SUPER_MAGIC', 0x63677270),
  pseudo('nsfs', 'NSFS_MAGIC', 0x6e736673),
  pseudo('efivarfs', 'EFIVARFS_MAGIC', 0xde5e81e4),
  pseudo('bpf', 'BPF_FS_MAGIC', 0xcafe4a11),
  pseudo('pstore', 'PSTOREFS_MAGIC', 0x6165676c),
  stored('tmpfs', 'TMPFS_MAGIC', 0x01021994, 'memory'),
  stored('devtmpfs', 'TMPFS_MAGIC', 0x01021994, 'memory'),
  stored('ramfs', 'RAMFS_MAGIC', 0x858458f6, 'memory'),
  stored('hugetlbfs', 'HUGETLBFS_MAGIC', 0x958458f6, 'memory'),
  stored('vfat', 'MSDOS_SUPER_MAGIC', 0x4d44, 'none'),
  stored('msdos', 'MSDOS_SUPER_MAGIC', 0x4d44, 'none'),
  stored('exfat', 'EXFAT_SUPER_MAGIC', 0x2011bab0, 'none'),
  stored('iso9660', 'ISOFS_SUPER_MAGIC', 0x9660, 'none'),
  stored('udf', 'UDF_SUPER_MAGIC', 0x15013346, 'none'),
  stored('ext4', 'EXT4_SUPER_MAGIC', 0xef53, 'labels'),
  stored('ext3', 'EXT3_SUPER_MAGIC', 0xef53, 'labels'),
  stored('ext2', 'EXT2_SUPER_MAGIC', 0xef53, 'labels'),
  stored('xfs', 'XFS_SUPER_MAGIC', 0x58465342, 'labels'),
  stored('btrfs', 'BTRFS_SUPER_MAGIC', 0x9123683e, 'labels'),
  stored('f2fs', 'F2FS_SUPER_MAGIC', 0xf2f52010, 'labels'),
  stored('squashfs', 'SQUASHFS_MAGIC', 0x73717368, 'labels'),
  stored('erofs', 'EROFS_SUPER_MAGIC_V1', 0xe0f5e1e2, 'labels'),
  stored('overlay', 'OVERLAYFS_SUPER_MAGIC', 0x794c7630, 'labels'),
  stored('fuse', 'FUSE_SUPER_MAGIC', 0x65735546, 'labels'),
  stored('fuseblk', 'FUSE_SUPER_MAGIC', 0x65735546, 'labels'),
  stored('nfs', 'NFS_SUPER_MAGIC', 0x6969, 'labels'),
  stored('nfs4', 'NFS_SUPER_MAGIC', 0x6969, 'labels'),
];

export const fileSystemsOfMagic = (magic: bigint): readonly KnownFileSystem[] =>
  FILE_SYSTEMS.filter((one) => BigInt(one.magic) === magic);

export const fileSystemOfName = (name: string): KnownFileSystem | undefined =>
  FILE_SYSTEMS.find((one) => one.name === name);

/** Made up while they are read, with a new content each time, and so excepted by the built-in policies. */
export const MADE_UP: readonly KnownFileSystem[] = [
  'proc',
  'sysfs',
  'debugfs',
  'devpts',
  'binfmt_misc',
  'securityfs',
  'selinuxfs',
  'smackfs',
  'cgroup',
  'cgroup2',
  'nsfs',
  'efivarfs',
].flatMap((name) => fileSystemOfName(name) ?? []);
