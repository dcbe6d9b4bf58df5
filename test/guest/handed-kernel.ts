/** The kernel that a guest's firmware is handed is not quite the file: QEMU fills the setup header in. */
import { readFileSync } from 'node:fs';
import type { Payload } from './boot-way.ts';
import { MEMORY_MEGABYTES } from './qemu.ts';

/** Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header". */
const HEADER = {
  loaderType: 0x210,
  loadFlags: 0x211,
  initrdAddress: 0x218,
  initrdSize: 0x21c,
  heapEnd: 0x224,
  commandLine: 0x228,
  highestInitrd: 0x22c,
} as const;

const QEMU_LOADER = 0xb0;
const CAN_USE_HEAP = 0x80;
const REAL_MODE_CODE = 0x1_0000;
const COMMAND_LINE = 0x2_0000;
/** Room that QEMU keeps for ACPI tables below the end of memory (hw/i386/pc.c:pc_machine_class_init). */
const ACPI_ROOM = 0x2_8000;
const PAGE_MASK = ~0xfff;

/** As QEMU 7.2 does it (hw/i386/x86.c:x86_load_linux): what PCR 4 has depends on the initramfs' size and on the memory. */
export function handedKernel({ kernel, initramfs }: Payload): Buffer {
  const image = readFileSync(kernel);
  const size = readFileSync(initramfs).length;
  const highest = Math.min(image.readUInt32LE(HEADER.highestInitrd), MEMORY_MEGABYTES * 2 ** 20 - ACPI_ROOM - 1);
  image.writeUInt8(QEMU_LOADER, HEADER.loaderType);
  image.writeUInt8(image.readUInt8(HEADER.loadFlags) | CAN_USE_HEAP, HEADER.loadFlags);
  image.writeUInt16LE(COMMAND_LINE - REAL_MODE_CODE - 0x200, HEADER.heapEnd);
  image.writeUInt32LE(COMMAND_LINE, HEADER.commandLine);
  image.writeUInt32LE((highest - size) & PAGE_MASK, HEADER.initrdAddress);
  image.writeUInt32LE(size, HEADER.initrdSize);
  return image;
}
