import type { ByteReader } from '../../bytes/index.ts';
import { type DevicePath, readDevicePath } from './device-path.ts';
import { printableText, readUtf16z } from './text.ts';

/** EFI_LOAD_OPTION (UEFI 2.10, 3.1.3): what Boot####, Driver#### and the like hold. */
export interface LoadOption {
  readonly attributes: number;
  /** Bit 0 of the attributes: the boot manager may use it. */
  readonly active: boolean;
  readonly hidden: boolean;
  readonly description: string;
  /** The first path of the list: what is started. */
  readonly devicePath: DevicePath;
  /** Hints that follow it in the list. */
  readonly otherPaths: readonly DevicePath[];
  readonly optionalData: Uint8Array;
  /** The optional data where it is text, as a kernel's command line is. */
  readonly optionalText: string | undefined;
}

const ACTIVE = 0x1;
const HIDDEN = 0x8;

/** @throws {ParseError} */
export function readLoadOption(reader: ByteReader): LoadOption {
  const attributes = reader.u32le('load option, attributes');
  const pathsSize = reader.u16le('load option, size of paths');
  const description = readUtf16z(reader, 'load option, description');
  const paths = reader.section(pathsSize, 'load option, paths');
  const devicePath = readDevicePath(paths);
  const otherPaths: DevicePath[] = [];
  while (paths.remaining > 0 && devicePath.ended) {
    const path = readDevicePath(paths);
    otherPaths.push(path);
    if (!path.ended) break;
  }
  const optionalData = reader.rest();
  return {
    attributes,
    active: (attributes & ACTIVE) !== 0,
    hidden: (attributes & HIDDEN) !== 0,
    description,
    devicePath,
    otherPaths,
    optionalData,
    optionalText: printableText(optionalData),
  };
}
