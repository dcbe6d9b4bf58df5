/**
 * What each PCR holds: TCG PC Client Platform Firmware Profile 1.06, 3.3.4 (0–7, 16–23); Linux: IMA in 10; UAPI
 * Group's registry of PCR uses on Linux (8, 9, 11–15).
 */
const MEANINGS: readonly string[] = [
  'firmware code (the core root of trust lives here)',
  'firmware settings',
  'option ROMs: code of plugged-in cards',
  'option ROM settings',
  'boot loader code and boot attempts',
  'boot loader settings, partition table',
  'platform maker’s own events',
  'Secure Boot policy: keys, and who signed what was started',
  'boot loader: commands and kernel command line (GRUB)',
  'boot loader: files it read; initrd as the kernel loaded it',
  'IMA anchors the list here: every file that was measured',
  'unified kernel image and boot phases (systemd)',
  'kernel command line and credentials (systemd)',
  'system extensions (systemd)',
  'shim’s machine owner keys',
  'machine identity and volume keys (systemd)',
  'debug',
  'dynamic launch: code (DRTM)',
  'dynamic launch: policy (DRTM)',
  'trusted OS',
  'trusted OS',
  'trusted OS',
  'trusted OS',
  'applications',
];

/** What a PCR of a PC holds, in words for people. */
export function pcrMeaning(index: number): string {
  return MEANINGS[index] ?? 'not defined';
}
