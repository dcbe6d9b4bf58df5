/** What a kernel's own EFI stub measures, and what QEMU changes in a kernel that it hands to the firmware. */
import { withoutFinalNuls } from '../../bytes/index.ts';
import { efiText, type Measurement, notPredictable } from './measurement.ts';

/** Load options and initrd (Linux: drivers/firmware/efi/libstub/efi-stub-helper.c:efi_convert_cmdline, efi_load_initrd). */
export function efiStubMeasurements(
  options: { readonly text: string; readonly source: string },
  initrd: { readonly bytes: Uint8Array; readonly source: string } | undefined,
): Measurement[] {
  const { text, source } = options;
  return [
    { pcr: 9, what: `load options: ${text}`, source, over: { bytes: efiText(text) } },
    ...(initrd === undefined ? [] : [{ pcr: 9, what: 'initrd', source: initrd.source, over: { bytes: initrd.bytes } }]),
  ];
}

/**
 * Refuses a command line that the programs on its way treat each in their own manner: control characters, spaces at an
 * end, other letters than ASCII.
 */
export function plainCommandLine(text: string, source: string): string {
  const line = withoutFinalNuls(text);
  if (!/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(line)) {
    throw notPredictable(
      `${source}: how this command line is passed on depends on the loader's version`,
      'use printable ASCII on one line, without spaces or a newline at its ends',
    );
  }
  return line;
}

const MIB = 2 ** 20;
/** QEMU: hw/i386/x86.c:x86_load_linux; ACPI tables lie at the end of low memory (hw/i386/pc.c: acpi_data_size). */
const ACPI_DATA = 0x20000 + 0x8000;
const REAL_MODE = 0x10000;
const COMMAND_LINE = 0x20000;
/** q35: memory from here on lies above 4 GiB (hw/i386/pc_q35.c:pc_q35_init). */
const Q35_SPLIT = 0xb0000000;
const Q35_LOW = 0x80000000;
const BZIMAGE_MAGIC = Buffer.from('HdrS');

/**
 * The kernel as QEMU's `-kernel` gives it to the firmware: with the boot protocol's fields written into it.
 * Documentation/arch/x86/boot.rst; QEMU 7.2 (newer ones can leave it unchanged: then their log says so).
 */
export function qemuKernel(kernel: Uint8Array, initrdSize: number, memoryMiB: number): Buffer {
  const patched = Buffer.from(kernel);
  if (patched.length < 0x264 || !patched.subarray(0x202, 0x206).equals(BZIMAGE_MAGIC)) {
    throw notPredictable('the kernel is no bzImage', 'give the vmlinuz that QEMU gets');
  }
  const protocol = patched.readUInt16LE(0x206);
  if (protocol < 0x20c) throw notPredictable(`the kernel speaks boot protocol 0x${protocol.toString(16)}, below 0x20c`);
  patched.writeUInt8(0xb0, 0x210);
  patched.writeUInt8(patched.readUInt8(0x211) | 0x80, 0x211);
  patched.writeUInt16LE(COMMAND_LINE - REAL_MODE - 0x200, 0x224);
  patched.writeUInt32LE(COMMAND_LINE, 0x228);
  if (initrdSize > 0) {
    const memory = memoryMiB * MIB;
    const low = memory >= Q35_SPLIT ? Q35_LOW : memory;
    const highest = Math.min(patched.readUInt32LE(0x22c), 0x7fffffff, low - ACPI_DATA - 1);
    patched.writeUInt32LE(((highest - initrdSize) & ~4095) >>> 0, 0x218);
    patched.writeUInt32LE(initrdSize, 0x21c);
  }
  return patched;
}
