/** Reads from a live file what its `security.evm` protects. The one file of this room with effects. */
import { type BigIntStats, closeSync, constants, fstatSync, lstatSync, openSync } from 'node:fs';
import { fgetXattr, fileSystem, flistXattrs, getXattr, inodeGeneration, listXattrs } from '../sys/index.ts';
import { EVM_XATTRS, type EvmMetadata } from './input.ts';
import { EVM_XATTR } from './xattr.ts';

export interface LiveOptions {
  /** For a portable signature: neither generation nor UUID is asked for, so that every file system with attributes will do. */
  readonly portable?: boolean;
  /** Names of protected attributes that were added at run time. */
  readonly extraXattrs?: readonly string[];
  /** UUID of the file's file system, where the caller knows it already: it costs more than all the rest. `none` leaves it out. */
  readonly uuid?: Uint8Array | 'none';
  /** Instead of asking the file system. */
  readonly generation?: number;
}

export interface LiveMetadata {
  readonly metadata: EvmMetadata;
  /** Value of `security.evm`. */
  readonly label: Buffer | undefined;
}

/**
 * @param file an open file, or a path whose last part is not followed where it is a symbolic link. Only regular files and
 *   directories have a generation that can be asked for; others get 0, as evmctl has it.
 * @throws {SysError} where the file system has no attributes or no generations
 * @throws the error of node:fs for a path that cannot be opened
 */
export function readEvmMetadata(file: number | string | Uint8Array, options: LiveOptions = {}): LiveMetadata {
  if (typeof file === 'number') return ofDescriptor(file, fstatSync(file, { bigint: true }), options);
  const path = typeof file === 'string' ? file : Buffer.from(file);
  const stats = lstatSync(path, { bigint: true });
  // A FIFO or a device is not opened: that alone may block or do something.
  if (!stats.isFile() && !stats.isDirectory()) return ofPath(path, stats, options);
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return ofDescriptor(fd, fstatSync(fd, { bigint: true }), options);
  } finally {
    closeSync(fd);
  }
}

function ofDescriptor(fd: number, stats: BigIntStats, options: LiveOptions): LiveMetadata {
  const { portable = false } = options;
  const generation = options.generation ?? (portable ? 0 : inodeGeneration(fd));
  const uuid = options.uuid ?? (portable ? undefined : fileSystem(fd).uuid);
  const read = (name: string) => fgetXattr(fd, name);
  return assemble(stats, flistXattrs(fd), read, { ...options, generation, ...(uuid === undefined ? {} : { uuid }) });
}

function ofPath(path: string | Buffer, stats: BigIntStats, options: LiveOptions): LiveMetadata {
  return assemble(stats, listXattrs(path), (name) => getXattr(path, name), options);
}

function assemble(
  stats: BigIntStats,
  present: readonly string[],
  read: (name: string) => Buffer | undefined,
  { extraXattrs = [], uuid, generation = 0 }: LiveOptions,
): LiveMetadata {
  const names = new Set([...EVM_XATTRS, ...extraXattrs, EVM_XATTR]);
  const xattrs = new Map<string, Buffer>();
  for (const name of present) {
    const value = names.has(name) ? read(name) : undefined;
    if (value !== undefined) xattrs.set(name, value);
  }
  const label = xattrs.get(EVM_XATTR);
  xattrs.delete(EVM_XATTR);
  const numbers = {
    ino: stats.ino,
    generation,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    mode: Number(stats.mode),
  };
  return { metadata: { xattrs, ...numbers, ...(uuid === undefined || uuid === 'none' ? {} : { uuid }) }, label };
}
