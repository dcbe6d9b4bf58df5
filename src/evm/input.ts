/** The bytes that a label of EVM protects (kernel: `security/integrity/evm/evm_crypto.c`, evm_calc_hmac_or_hash). */
import { ByteWriter } from '../bytes/index.ts';
import { EvmError } from './error.ts';

/** Whatever of an inode its label vouches for. */
export interface EvmMetadata {
  /** Every `security.*` attribute by its full name, without `security.evm`; others are not looked at. */
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
  readonly ino: bigint;
  readonly generation: number;
  /** As the initial user namespace has them. */
  readonly uid: number;
  readonly gid: number;
  /** With the file type, as `st_mode`. */
  readonly mode: number;
  /** `s_uuid` of the file system, 16 bytes. */
  readonly uuid?: Uint8Array;
}

/**
 * The attributes in the order in which they are hashed (`evm_main.c`, evm_config_default_xattrnames). The values follow
 * one another without names and lengths, so the order alone says which is which.
 */
export const EVM_XATTRS: readonly string[] = [
  'security.selinux',
  'security.SMACK64',
  'security.SMACK64EXEC',
  'security.SMACK64TRANSMUTE',
  'security.SMACK64MMAP',
  'security.apparmor',
  'security.ima',
  'security.capability',
];

/**
 * How the inode's numbers are laid out: `struct h_misc` of a 64-bit or a 32-bit kernel, or what evmctl's `-i` hashes
 * (`struct h_misc_digsig`: owner and mode alone; no released kernel verifies it).
 */
export type EvmLayout = '64-bit' | '32-bit' | 'owner-and-mode';

/** What of the kernel's configuration a label depends on. */
export interface EvmConfiguration {
  /** Names that were added at run time (`/sys/kernel/security/evm_xattrs`), in their order. */
  readonly extraXattrs?: readonly string[];
  /** Names whose security module the kernel was built without: it leaves them out, but of portable signatures. */
  readonly disabledXattrs?: ReadonlySet<string>;
  /** CONFIG_EVM_ATTR_FSUUID. Left out: true, as distributions have it. */
  readonly withUuid?: boolean;
  readonly layout?: EvmLayout;
}

export interface EvmInputOptions extends EvmConfiguration {
  /** Neither inode number, generation nor file system: the label may travel. */
  readonly portable?: boolean;
  /** Hash a file without any protected attribute too, as evmctl does; the kernel takes no such label. */
  readonly mayBeBare?: boolean;
}

/** The values that are hashed, in order; the names are those of attributes that are there. */
export function protectedXattrs(
  { xattrs }: Pick<EvmMetadata, 'xattrs'>,
  { portable = false, extraXattrs = [], disabledXattrs }: EvmInputOptions = {},
): (readonly [name: string, value: Uint8Array])[] {
  const isHashed = (name: string): boolean => portable || disabledXattrs?.has(name) !== true;
  const names = [...EVM_XATTRS.filter(isHashed), ...extraXattrs];
  return names.flatMap((name) => {
    const value = xattrs.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
}

/**
 * The exact bytes under HMAC or signature, in the byte order of x86 and arm64 (little endian).
 * @throws {EvmError} `evm.metadata` for a number out of its range or a UUID that is not there though it is hashed;
 *   `evm.nothing-to-protect` where the kernel takes no label
 */
export function evmInput(metadata: EvmMetadata, options: EvmInputOptions = {}): Buffer {
  const values = protectedXattrs(metadata, options);
  if (values.length === 0 && options.mayBeBare !== true) {
    throw new EvmError(
      'evm.nothing-to-protect',
      'the file has none of the attributes that EVM protects',
      'label it for IMA first',
    );
  }
  if (options.portable === true && !metadata.xattrs.has('security.ima')) {
    throw new EvmError(
      'evm.nothing-to-protect',
      'a portable signature needs security.ima on the file',
      'label it for IMA first',
    );
  }
  const parts = values.map(([, value]) => value);
  return Buffer.concat([...parts, inodeBytes(metadata, options), ...uuidOf(metadata, options)]);
}

function uuidOf({ uuid }: EvmMetadata, { portable, withUuid = true, layout }: EvmInputOptions): Uint8Array[] {
  if (portable === true || !withUuid || layout === 'owner-and-mode') return [];
  if (uuid?.length !== 16) {
    throw new EvmError(
      'evm.metadata',
      uuid === undefined ? 'the UUID of the file system is not known' : `a UUID of ${uuid.length} bytes`,
      'give the UUID of the file system, or leave it out if the kernel has no EVM_ATTR_FSUUID',
    );
  }
  return [uuid];
}

/** hmac_add_misc: the compiler's padding is zero and is hashed. */
function inodeBytes(metadata: EvmMetadata, { portable = false, layout = '64-bit' }: EvmInputOptions): Uint8Array {
  const writer = new ByteWriter(24);
  const ino = portable ? 0n : metadata.ino;
  const generation = portable ? 0 : u32(metadata.generation, 'generation');
  if (layout === '64-bit') writer.u64le(unsigned(ino, 64, 'inode number')).u32le(generation);
  if (layout === '32-bit') writer.u32le(Number(unsigned(ino, 32, 'inode number'))).u32le(generation);
  writer.u32le(u32(metadata.uid, 'uid')).u32le(u32(metadata.gid, 'gid'));
  return writer
    .u16le(Number(unsigned(metadata.mode, 16, 'mode')))
    .u16le(0)
    .finish();
}

const u32 = (value: number, what: string): number => Number(unsigned(value, 32, what));

function unsigned(value: number | bigint, bits: number, what: string): bigint {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw outOfRange(value, what);
  const number = BigInt(value);
  if (number !== BigInt.asUintN(bits, number)) throw outOfRange(value, what);
  return number;
}

const outOfRange = (value: number | bigint, what: string): EvmError =>
  new EvmError('evm.metadata', `${what} ${value} is out of range`);
