/** What is built into a GRUB image: modules, its prefix and the configuration with which it begins (include/grub/kernel.h, grub_module_header). */
import { ByteReader, withoutFinalNuls } from '../../bytes/index.ts';
import { fatFile } from './fat-volume.ts';
import { moduleName } from './grub-module.ts';
import { type BootFile, notPredictable } from './measurement.ts';
import { namedSection, naming, parseNamed } from './named-image.ts';

/** IMAGE_FILE_MACHINE_AMD64: its modules lie in x86_64-efi. */
const X86_64 = 0x8664;
const MAGIC = 0x676d696d;
const HEADER = 24;
const OBJECT = { elf: 0, memdisk: 1, config: 2, prefix: 3 } as const;
const MAX_OBJECTS = 1024;

export interface GrubImage {
  /** Without device, as `/EFI/debian`. */
  readonly prefix: string;
  /** Run first: `(memdisk)/grub.cfg`. */
  readonly configuration: { readonly name: string; readonly text: string };
  /** Names of those that are built in. */
  readonly modules: ReadonlySet<string>;
  /** As its section .sbat says: `2.06`. */
  readonly version: string | undefined;
  /** A file of its own disk, by its path from the root. */
  memdiskFile(path: string): Uint8Array | undefined;
}

/** @throws {BootError} `boot.not-predictable` where the image does not say how it begins */
export function openGrub(file: BootFile): GrubImage {
  const image = parseNamed(file);
  if (image.machine !== X86_64)
    throw notPredictable(
      `${file.name}: is for machine 0x${image.machine.toString(16)}, and GRUB is followed on x86-64 alone`,
    );
  const section = namedSection(file, image, 'mods');
  if (section === undefined) throw notPredictable(`${file.name}: no section mods, so this is no GRUB image`);
  const objects = naming(file, () => moduleObjects(new ByteReader(section), file.name));
  const only = (type: number): Uint8Array | undefined => objects.find((object) => object.type === type)?.bytes;
  const [prefix, config, memdisk] = [OBJECT.prefix, OBJECT.config, OBJECT.memdisk].map(only);
  if (prefix === undefined) throw notPredictable(`${file.name}: says no prefix`);
  // The rescue parser runs this before anything is measured.
  if (config !== undefined && text(config) !== 'normal (memdisk)/grub.cfg\n') {
    throw notPredictable(`${file.name}: has a built-in load.cfg other than Debian's, which is not followed`);
  }
  const memdiskFile = (path: string): Uint8Array | undefined =>
    memdisk === undefined ? undefined : fatFile(memdisk, path);
  const fromDisk = memdiskFile('/grub.cfg');
  if (fromDisk === undefined)
    throw notPredictable(`${file.name}: has no grub.cfg on a FAT memdisk, so how it begins is not known`);
  const modules = objects.filter(({ type }) => type === OBJECT.elf).map(({ bytes }) => moduleName(bytes));
  const sbat = namedSection(file, image, '.sbat');
  return {
    prefix: text(prefix),
    configuration: { name: `${file.name}:(memdisk)/grub.cfg`, text: text(fromDisk) },
    modules: new Set(modules.filter((name) => name !== undefined)),
    version: sbat === undefined ? undefined : /^grub,\d+,[^,]*,[^,]*,([^,\s]+)/m.exec(text(sbat))?.[1],
    memdiskFile,
  };
}

const text = (bytes: Uint8Array): string => withoutFinalNuls(Buffer.from(bytes).toString('latin1'));

function moduleObjects(reader: ByteReader, name: string): { readonly type: number; readonly bytes: Uint8Array }[] {
  const objects: { type: number; bytes: Uint8Array }[] = [];
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
    objects.push({ type, bytes: inside.bytes(length - 8, 'module') });
  }
  return objects;
}
