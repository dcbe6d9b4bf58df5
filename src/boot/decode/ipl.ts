import { GRUB_PCR } from '../payload.ts';

/** EV_IPL: what boot loaders measure. */
export interface Ipl {
  readonly role: IplRole;
  /** Without GRUB's prefix. */
  readonly text: string;
}

export type IplRole =
  /** A command that GRUB ran, its variables filled in. */
  | 'grub-cmd'
  /** The name under which GRUB read a file; the digest is the file's, so the name is not vouched for. */
  | 'grub-file'
  | 'kernel-cmdline'
  | 'module-cmdline'
  /** A section of a unified kernel image: its name, once for the name's own digest and once for the content's. */
  | 'stub-section'
  /** Credentials, system extensions, devicetrees that systemd-stub and systemd-boot pass on. */
  | 'systemd'
  /** A variable of shim's in PCR 14, named; the digest is its content's. */
  | 'mok'
  | 'text';

const PREFIXES: readonly (readonly [prefix: string, role: IplRole])[] = [
  ['grub_cmd: ', 'grub-cmd'],
  ['kernel_cmdline: ', 'kernel-cmdline'],
  ['module_cmdline: ', 'module-cmdline'],
];

/** @param vouched whether the digest is over the text: what is, and stands where loaders put it, is a command line */
export function iplOf(pcr: number, text: string, wide: boolean, vouched: boolean): Ipl {
  // Where GRUB measures text: elsewhere a file, or whatever else was measured, might begin like it.
  const known = pcr === GRUB_PCR ? PREFIXES.find(([prefix]) => text.startsWith(prefix)) : undefined;
  if (known !== undefined) return { role: known[1], text: text.slice(known[0].length) };
  return { role: roleIn(pcr, text, wide, vouched), text };
}

function roleIn(pcr: number, text: string, wide: boolean, vouched: boolean): IplRole {
  // systemd-boot (PCR 12, before 251 PCR 8) and systemd-stub measure the command line in UTF-16.
  if ((pcr === 8 || pcr === 12) && wide && vouched) return 'kernel-cmdline';
  if (pcr === 9 && /^[(/]/.test(text)) return 'grub-file';
  if (pcr === 11 && text.startsWith('.')) return 'stub-section';
  if (pcr === 12 || pcr === 13) return 'systemd';
  if (pcr === 14 && /^Mok/.test(text)) return 'mok';
  return 'text';
}
