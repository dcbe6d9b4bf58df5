/** Mode, owner and security attributes of a directory itself, where its label covers them too. */
import { ByteWriter, bytesEqual, type DigestAlgorithm, digest } from '../../bytes/index.ts';
import { EVM_XATTRS } from '../../evm/index.ts';
import { FileStatus, fgetXattr, flistXattrs } from '../../sys/index.ts';

export interface DirectoryMetadata {
  /** The twelve bits of permissions. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Over {@link COVERED} that are there, with their values, in the label's algorithm. */
  readonly attributes: Uint8Array;
}

const MODE_BITS = 0o7777;

/** What EVM protects of an inode, but for labels of a content, which a directory has not; and who else may do what in it. */
const COVERED: readonly string[] = [
  ...EVM_XATTRS.filter((name) => name !== 'security.ima'),
  'system.posix_acl_access',
  'system.posix_acl_default',
];

/** Told apart from the digests of a directory's entries. */
const DOMAIN = Buffer.from('assay directory attributes 1\0', 'latin1');

/** @param fd the open directory @throws {SysError} */
export function readDirectoryMetadata(fd: number, algorithm: DigestAlgorithm): DirectoryMetadata {
  const { mode, uid, gid } = new FileStatus().ofOpen(fd);
  return { mode: mode & MODE_BITS, uid, gid, attributes: attributesDigest(fd, algorithm) };
}

/** H(domain ‖ for each: name ‖ NUL ‖ value length u32 ‖ value), in the order of {@link COVERED}; integers big-endian. */
function attributesDigest(fd: number, algorithm: DigestAlgorithm): Buffer {
  const present = new Set(flistXattrs(fd));
  const writer = new ByteWriter(256).bytes(DOMAIN);
  for (const name of COVERED) {
    const value = present.has(name) ? fgetXattr(fd, name) : undefined;
    if (value === undefined) continue;
    writer
      .bytes(Buffer.from(`${name}\0`, 'latin1'))
      .u32be(value.length)
      .bytes(value);
  }
  return digest(algorithm, writer.finish());
}

export function sameMetadata(a: DirectoryMetadata, b: DirectoryMetadata): boolean {
  return a.mode === b.mode && a.uid === b.uid && a.gid === b.gid && bytesEqual(a.attributes, b.attributes);
}

/** For people: what the kernel's tools would say, and the beginning of the attributes' digest. */
export function metadataWords({ mode, uid, gid, attributes }: DirectoryMetadata): string {
  const digits = Buffer.from(attributes.subarray(0, 6)).toString('hex');
  return `mode ${mode.toString(8).padStart(4, '0')}, owner ${uid}:${gid}, attributes ${digits}…`;
}
