/** File systems as policies name them (include/uapi/linux/magic.h, and their own sources), and whether labels can exist on them. */

export interface KnownFileSystem {
  /** `s_type->name`, as `fsname=` has it. */
  readonly name: string;
  readonly magic: number;
  /**
   * `pseudo`: what the kernel makes up while it is read; nothing to label.
   * `memory`: files that are gone at the next boot, with their labels.
   * `none`: a disk's format without extended attributes.
   * `labels`: extended attributes stay on it.
   */
  readonly kind: 'pseudo' | 'memory' | 'none' | 'labels';
}

const pseudo = (name: string, magic: number): KnownFileSystem => ({ name, magic, kind: 'pseudo' });
const stored = (name: string, magic: number, kind: KnownFileSystem['kind']): KnownFileSystem => ({ name, magic, kind });

/** ext2 and ext3 have ext4's number, so that a number may have several names. */
export const FILE_SYSTEMS: readonly KnownFileSystem[] = [
  pseudo('proc', 0x9fa0),
  pseudo('sysfs', 0x62656572),
  pseudo('debugfs', 0x64626720),
  pseudo('tracefs', 0x74726163),
  pseudo('devpts', 0x1cd1),
  pseudo('binfmt_misc', 0x42494e4d),
  pseudo('securityfs', 0x73636673),
  pseudo('selinuxfs', 0xf97cff8c),
  pseudo('smackfs', 0x43415d53),
  pseudo('cgroup', 0x27e0eb),
  pseudo('cgroup2', 0x63677270),
  pseudo('nsfs', 0x6e736673),
  pseudo('efivarfs', 0xde5e81e4),
  pseudo('bpf', 0xcafe4a11),
  pseudo('configfs', 0x62656570),
  pseudo('pstore', 0x6165676c),
  pseudo('mqueue', 0x19800202),
  stored('tmpfs', 0x01021994, 'memory'),
  stored('devtmpfs', 0x01021994, 'memory'),
  stored('ramfs', 0x858458f6, 'memory'),
  stored('hugetlbfs', 0x958458f6, 'memory'),
  stored('vfat', 0x4d44, 'none'),
  stored('msdos', 0x4d44, 'none'),
  stored('exfat', 0x2011bab0, 'none'),
  stored('iso9660', 0x9660, 'none'),
  stored('udf', 0x15013346, 'none'),
  stored('ext4', 0xef53, 'labels'),
  stored('ext3', 0xef53, 'labels'),
  stored('ext2', 0xef53, 'labels'),
  stored('xfs', 0x58465342, 'labels'),
  stored('btrfs', 0x9123683e, 'labels'),
  stored('f2fs', 0xf2f52010, 'labels'),
  stored('zfs', 0x2fc12fc1, 'labels'),
  stored('squashfs', 0x73717368, 'labels'),
  stored('erofs', 0xe0f5e1e2, 'labels'),
  stored('overlay', 0x794c7630, 'labels'),
  stored('fuse', 0x65735546, 'labels'),
  stored('fuseblk', 0x65735546, 'labels'),
  stored('nfs', 0x6969, 'labels'),
  stored('nfs4', 0x6969, 'labels'),
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
