/** The disks that GRUB sees, and paths on them. */
import type { BootFile } from './measurement.ts';

/** A partition as GRUB names it: `(hd0,gpt1)`. */
export interface GrubDisk {
  readonly device: string;
  /** As `search --fs-uuid` looks for it. */
  readonly uuid?: string;
  /** A file by its path from the root, or undefined. FAT takes letters of either case. */
  file(path: string): BootFile | undefined;
  isDirectory(path: string): boolean;
}

/** @returns undefined for a device of which nothing is known */
export function locate(
  disks: readonly GrubDisk[],
  path: string,
  root: string,
): { readonly disk: GrubDisk; readonly path: string } | undefined {
  const [, named, inside = path] = /^(\([^)]*\))(.*)$/s.exec(path) ?? [];
  const disk = disks.find((candidate) => candidate.device === (named ?? `(${root})`));
  return disk === undefined ? undefined : { disk, path: inside };
}

/** What `search` is asked. */
export interface GrubSearch {
  readonly uuid: string;
  readonly variable: string;
  /** Devices that are tried first, without parentheses. */
  readonly hints: readonly string[];
}

/** Options of `search` that take a word (grub-core/commands/search_wrap.c). */
const WITH_WORD = /^--hint(-[a-z0-9]+)?$/;
/** On EFI. */
const HINT = /^--hint(-efi)?(?:=(.*))?$/;

/** @returns undefined where it is another kind of search, which opens files on every disk */
export function parseSearch(command: string, args: readonly string[]): GrubSearch | undefined {
  if (command === 'search.fs_uuid') {
    const [uuid, variable = 'root', ...hints] = args;
    return uuid === undefined ? undefined : { uuid, variable, hints };
  }
  const hints: string[] = [];
  const words: string[] = [];
  let variable = 'root';
  let isByUuid = false;
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? '';
    if (word === '--fs-uuid' || word === '-u') isByUuid = true;
    else if (word.startsWith('--set=')) variable = word.slice('--set='.length);
    else if (word.startsWith('--hint')) {
      const value = WITH_WORD.test(word) ? args[++i] : word.slice(word.indexOf('=') + 1);
      if (HINT.test(word) && value !== undefined) hints.push(value);
    } else if (word.startsWith('-')) {
      if (word !== '--no-floppy' && word !== '-n' && word !== '--set') return undefined;
    } else words.push(word);
  }
  const [uuid, ...others] = words;
  return isByUuid && uuid !== undefined && others.length === 0 ? { uuid, variable, hints } : undefined;
}
