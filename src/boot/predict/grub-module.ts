/** What a GRUB module says of itself: relocatable ELF with sections .modname and .moddeps (include/grub/dl.h). */
import { ByteReader, ParseError } from '../../bytes/index.ts';

const ELF64 = { magic: 0x464c457f, sectionsAt: 0x28, sectionSize: 0x3a, header: 64, offset: 0x18 } as const;

/** @returns undefined where it is no 64-bit ELF module that names itself */
export function moduleName(module: Uint8Array): string | undefined {
  return namesIn(module, '.modname')[0];
}

/** The modules that GRUB loads before this one, in that order (grub-core/kern/dl.c:grub_dl_resolve_dependencies). */
export function moduleDependencies(module: Uint8Array): string[] {
  return namesIn(module, '.moddeps');
}

function namesIn(module: Uint8Array, section: string): string[] {
  try {
    const text = Buffer.from(elfSection(module, section) ?? new Uint8Array()).toString('latin1');
    return text.split('\0').filter((name) => name !== '');
  } catch (error) {
    if (error instanceof ParseError) return [];
    throw error;
  }
}

function elfSection(file: Uint8Array, name: string): Uint8Array | undefined {
  if (new ByteReader(file).u32le('ELF magic') !== ELF64.magic) return undefined;
  const at = (offset: number): ByteReader => {
    const reader = new ByteReader(file);
    reader.bytes(offset, 'ELF');
    return reader;
  };
  const table = Number(at(ELF64.sectionsAt).u64le('ELF section headers'));
  const sizes = at(ELF64.sectionSize);
  if (sizes.u16le('ELF section header size') !== ELF64.header) return undefined;
  const count = sizes.u16le('ELF section count');
  const namesIndex = sizes.u16le('ELF section of names');
  const header = (index: number): ByteReader => at(table + index * ELF64.header);
  const content = (index: number): Uint8Array => {
    const reader = at(table + index * ELF64.header + ELF64.offset);
    const offset = Number(reader.u64le('ELF section offset'));
    return at(offset).bytes(Number(reader.u64le('ELF section size')), 'ELF section');
  };
  const names = Buffer.from(content(namesIndex)).toString('latin1');
  for (let index = 0; index < count; index++) {
    const nameAt = header(index).u32le('ELF section name');
    if (names.slice(nameAt, nameAt + name.length + 1) === `${name}\0`) return content(index);
  }
  return undefined;
}
