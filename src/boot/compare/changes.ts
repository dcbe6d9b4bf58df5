/** Every way in which two boots differ: the one table from which the sentences and the documentation are made. Pure data. */

/** `info`: as updates bring it; `warning`: a person should have meant it; `alarm`: what protects the boot changed. */
export type ChangeSeverity = 'info' | 'warning' | 'alarm';

export interface ChangeKind {
  readonly severity: ChangeSeverity;
  readonly title: string;
  readonly advice: string;
}

export const CHANGES = {
  'boot.firmware-changed': {
    severity: 'warning',
    title: 'The firmware is another one',
    advice: 'Compare with the maker’s update; if nobody updated it, look at the machine.',
  },
  'boot.firmware-configuration-changed': {
    severity: 'info',
    title: 'The firmware’s configuration changed',
    advice: 'Settings, or tables that differ from boot to boot: look which variable it is.',
  },
  'boot.boot-order-changed': {
    severity: 'warning',
    title: 'The boot order changed',
    advice: 'See what it starts first now; set it back with efibootmgr --bootorder if nobody meant it.',
  },
  'boot.boot-option-changed': {
    severity: 'warning',
    title: 'Boot options were added, removed or changed',
    advice: 'Installers and new disks add some; look at the names with efibootmgr.',
  },
  'boot.option-rom-changed': {
    severity: 'warning',
    title: 'Option ROMs or drivers were added, removed or changed',
    advice: 'A new card brings one. If nobody put one in, look into the machine.',
  },
  'boot.option-rom-configuration-changed': {
    severity: 'info',
    title: 'The configuration of option ROMs changed',
    advice: 'Look at the settings of the cards.',
  },
  'boot.application-changed': {
    severity: 'warning',
    title: 'Boot loaders or other boot applications changed',
    advice: 'A package update of shim, GRUB or systemd-boot does this; compare the digests with the packages.',
  },
  'boot.kernel-changed': {
    severity: 'info',
    title: 'The kernel is another one',
    advice: 'An update does this; compare its digest with the package.',
  },
  'boot.handed-kernel-changed': {
    severity: 'info',
    title: 'The kernel is another one as QEMU hands it over',
    advice: 'QEMU writes the initrd’s size into the kernel: with another initrd it may be the same kernel.',
  },
  'boot.uki-changed': {
    severity: 'info',
    title: 'The unified kernel image is another one',
    advice: 'An update of kernel or initrd makes one anew; what of it changed stands beside, where the log tells.',
  },
  'boot.initrd-changed': {
    severity: 'info',
    title: 'The initrd is another one',
    advice: 'Each kernel or driver update makes one anew; compare with the file that was made.',
  },
  'boot.command-line-changed': {
    severity: 'warning',
    title: 'The kernel’s command line changed',
    advice: 'Words such as init=, single or ima_appraise=off open the machine: look at each.',
  },
  'boot.uki-section-changed': {
    severity: 'info',
    title: 'Sections of the unified kernel image changed',
    advice: 'An update does this.',
  },
  'boot.grub-commands-changed': {
    severity: 'warning',
    title: 'GRUB executed other commands',
    advice: 'Compare with the configuration that grub-mkconfig made; somebody at the console can type some, too.',
  },
  'boot.grub-file-changed': {
    severity: 'info',
    title: 'GRUB read other files',
    advice: 'Modules, fonts and configuration come with updates of GRUB.',
  },
  'boot.partition-table-changed': {
    severity: 'warning',
    title: 'The partition table of the boot disk changed',
    advice: 'Another disk was booted from, or one was partitioned anew.',
  },
  'boot.secure-boot-switched': {
    severity: 'alarm',
    title: 'Secure Boot was switched on or off',
    advice: 'If nobody meant it, look who was at the machine’s settings.',
  },
  'boot.secure-boot-keys-changed': {
    severity: 'alarm',
    title: 'Keys of Secure Boot changed (PK, KEK or db)',
    advice: 'Who holds these keys says what boots: compare the certificates with those that you gave the machine.',
  },
  'boot.dbx-updated': {
    severity: 'info',
    title: 'What is revoked changed: the list dbx, or shim’s level of SBAT',
    advice: 'fwupd, Windows and newer shims bring updates. It only ever grows: entries that went are an alarm.',
  },
  'boot.authority-changed': {
    severity: 'warning',
    title: 'Other certificates vouched for what was started',
    advice: 'Another signer’s loader was started: compare the names.',
  },
  'boot.mok-changed': {
    severity: 'alarm',
    title: 'Keys of the machine’s owner (MOK) were enrolled or removed',
    advice: 'Who holds such a key signs kernels and modules for this machine: see mokutil --list-enrolled.',
  },
  'boot.exit-boot-services-missing': {
    severity: 'warning',
    title: 'It changed whether the firmware measures that the boot services ended',
    advice: 'Some firmware leaves it out; where it was there before, the boot ended in another way.',
  },
  'boot.debugger': {
    severity: 'alarm',
    title: 'A firmware debugger was active',
    advice: 'Whoever holds it controls the boot: switch it off.',
  },
  'boot.launch-changed': {
    severity: 'warning',
    title: 'The dynamic launch measured something else',
    advice: 'An update of tboot, the SINIT module, kernel or initrd does this; compare each with its package.',
  },
  'boot.measured-again': {
    severity: 'info',
    title: 'The same was measured another number of times, or in another order',
    advice: 'Another loader, or Secure Boot on or off, changes who measures.',
  },
  'boot.not-together': {
    severity: 'warning',
    title: 'Parts of the boot do not go together: each is approved, and not with the other',
    advice: 'An update that was half rolled back looks like this: approve the pair, or complete it.',
  },
  'boot.other-changed': {
    severity: 'warning',
    title: 'Measurements that nothing here explains changed: separators, their order, or an unknown kind',
    advice: 'Look at the events with assay boot show.',
  },
} as const satisfies Readonly<Record<string, ChangeKind>>;

export type ChangeCode = keyof typeof CHANGES;
