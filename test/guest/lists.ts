/** The kernel's measurement lists, brought out of a guest. */
import { keep, type Step } from './script.ts';

const IMA = '/sys/kernel/security/ima';

/** The list with SHA-1 template digests, which every kernel has. */
export const keepList = (name: string): Step => keep(`${IMA}/binary_runtime_measurements`, name);

export const keepAsciiList = (name: string): Step => keep(`${IMA}/ascii_runtime_measurements`, name);

/** The list with template digests of another algorithm (Linux 6.9 and newer; ima_fs.c:create_securityfs_measurement_lists). */
export const keepListIn = (algorithm: string, name: string): Step =>
  keep(`${IMA}/binary_runtime_measurements_${algorithm}`, name);

/** The firmware's event log, as the kernel's EFI stub took it over. */
export const keepBootLog = (name: string): Step => keep('/sys/kernel/security/tpm0/binary_bios_measurements', name);

/** Path and digest of each entry of an ASCII list in a template that begins `d-ng|n-ng`. */
export function asciiEntries(text: string): { digest: string; path: string }[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => line.trim().split(' '))
    .map(([, , , digest = '', path = '']) => ({ digest, path }));
}
