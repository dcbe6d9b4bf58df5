/** What is built into a GRUB image: its prefix and the configuration with which it begins (include/grub/kernel.h, grub_module_header). */
import { ByteReader } from '../../bytes/index.ts';
import { findSection, sectionBytes } from '../pe/index.ts';
import { type BootFile, notPredictable } from './measurement.ts';
import { parseNamed } from './uki.ts';

const MAGIC = 0x676d696d;
const HEADER = 24;
const OBJECT = { memdisk: 1, config: 2, prefix: 3 } as const;
const MAX_OBJECTS = 1024;

export interface GrubImage {
  /** Without device, as `/EFI/debian`. */
  readonly prefix: string;
  /** Run first: `(memdisk)/grub.cfg`, or the configuration that grub-mkimage was given. */
  readonly configuration: { readonly name: string; readonly text: string };
}

/** @throws {BootError} `boot.not-predictable` where the image does not say how it begins */
export function openGrub(file: BootFile): GrubImage {
  const image = parseNamed(file);
  const section = findSection(image, 'mods');
  if (section === undefined) throw notPredictable(`${file.name}: no section mods, so this is no GRUB image`);
  const objects = moduleObjects(new ByteReader(sectionBytes(image, section), section.fileOffset), file.name);
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1').replace(/\0+$/, '');
  const prefix = objects.get(OBJECT.prefix);
  const config = objects.get(OBJECT.config);
  const memdisk = objects.get(OBJECT.memdisk);
  if (prefix === undefined) throw notPredictable(`${file.name}: says no prefix`);
  // The rescue parser runs this before anything is measured.
  if (config !== undefined && text(config) !== 'normal (memdisk)/grub.cfg\n') {
    throw notPredictable(`${file.name}: has a built-in load.cfg other than Debian's, which is not followed`);
  }
  const fromDisk = memdisk === undefined ? undefined : fatFile(memdisk, 'GRUB    CFG');
  if (fromDisk === undefined)
    throw notPredictable(`${file.name}: has no grub.cfg on a FAT memdisk, so how it begins is not known`);
  return { prefix: text(prefix), configuration: { name: `${file.name}:(memdisk)/grub.cfg`, text: text(fromDisk) } };
}

function moduleObjects(reader: ByteReader, name: string): Map<number, Uint8Array> {
  const objects = new Map<number, Uint8Array>();
  if (reader.remaining < HEADER || reader.u32le('module header, magic') !== MAGIC) {
    throw notPredictable(`${name}: section mods does not begin as GRUB's does`);
  }
  reader.u32le('module header');
  const offset = Number(reader.u64le('module header, offset'));
  const size = Number(reader.u64le('module header, size'));
  reader.bytes(Math.max(0, offset - HEADER), 'module header');
  const inside = reader.section(Math.min(size - offset, reader.remaining), 'modules');
  for (let count = 0; inside.remaining >= 8; count++) {
    if (count === MAX_OBJECTS) throw notPredictable(`${name}: more than ${MAX_OBJECTS} modules`);
    const type = inside.u32le('module, type');
    const length = inside.u32le('module, size');
    if (length < 8) inside.fail('parse.invalid', 'module, size', `${length}`);
    const bytes = inside.bytes(length - 8, 'module');
    if (!objects.has(type)) objects.set(type, bytes);
  }
  return objects;
}

const DIRECTORY_ENTRY = 32;

/** A file in the root of a FAT volume, if it lies in one piece (Microsoft, "FAT File System Specification"). */
function fatFile(volume: Uint8Array, name: string): Uint8Array | undefined {
  if (volume.length < 512) return undefined;
  const boot = Buffer.from(volume.buffer, volume.byteOffset, volume.length);
  const [sector, perCluster] = [boot.readUInt16LE(11), boot.readUInt8(13)];
  const root = (boot.readUInt16LE(14) + boot.readUInt8(16) * boot.readUInt16LE(22)) * sector;
  const entries = boot.readUInt16LE(17);
  const data = root + entries * DIRECTORY_ENTRY;
  for (let i = 0; i < entries; i++) {
    const at = root + i * DIRECTORY_ENTRY;
    if (at + DIRECTORY_ENTRY > boot.length) return undefined;
    if (boot.toString('latin1', at, at + 11) !== name) continue;
    const [cluster, size] = [boot.readUInt16LE(at + 26), boot.readUInt32LE(at + 28)];
    const start = data + (cluster - 2) * perCluster * sector;
    // More than a cluster would need the allocation table.
    return cluster < 2 || size > perCluster * sector || start + size > boot.length
      ? undefined
      : boot.subarray(start, start + size);
  }
  return undefined;
}
