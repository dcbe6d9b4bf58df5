/** GRUB's menus: entries and which of them boots (grub-core/normal/menu.c). */
import type { Block } from './grub-script.ts';

export interface MenuEntry {
  readonly title: string;
  /** The title where none was given. */
  readonly id: string;
  readonly parameters: readonly string[];
  readonly block: Block;
  /** File that it stands in. */
  readonly file: string;
  readonly isSubmenu: boolean;
  readonly isRestricted: boolean;
}

/** Options of `menuentry` that take a word (grub-core/commands/menuentry.c). */
const WITH_WORD = new Set(['--class', '--users', '--hotkey', '--id', '--source']);

/** @returns undefined without a title */
export function menuEntry(
  args: readonly string[],
  block: Block,
  file: string,
  isSubmenu: boolean,
): MenuEntry | undefined {
  const words: string[] = [];
  const options = new Map<string, string | undefined>();
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? '';
    const [option = '', value] = word.split(/=(.*)/s, 2);
    if (WITH_WORD.has(option)) options.set(option, value ?? args[++i]);
    else if (word === '--unrestricted') options.set(word, undefined);
    else words.push(word);
  }
  const [title, ...parameters] = words;
  if (title === undefined) return undefined;
  const id = options.get('--id') ?? title;
  return { title, id, parameters, block, file, isSubmenu, isRestricted: !options.has('--unrestricted') };
}

/** `a>b` is b of submenu a; `>>` stands for one that is meant literally. */
export function splitChoice(text: string): { readonly first: string; readonly rest: string | undefined } {
  const [, first = text, rest] = /^((?:[^>]|>>)*)>(.+)$/s.exec(text) ?? [];
  return { first, rest };
}

/** The entry that a number, a title or an id names: the first where none is (get_entry_number, run_menu). */
export function chosenEntry(
  entries: readonly MenuEntry[],
  wanted: string,
): { entry: MenuEntry | undefined; isNamed: boolean } {
  const { first } = splitChoice(wanted);
  const number = /^\s*(\d+)/.exec(first)?.[1];
  const name = first.replaceAll('>>', '>');
  const entry =
    number === undefined
      ? entries.find(({ title, id }) => title === name || id === name)
      : entries[Number.parseInt(number, number.startsWith('0') ? 8 : 10)];
  return { entry: entry ?? entries[0], isNamed: entry !== undefined };
}
