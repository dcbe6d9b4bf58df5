/**
 * GRUB as far as it can be followed: which commands it runs (PCR 8) and which files it reads (PCR 9).
 * Source: GRUB 2.06, grub-core/script/execute.c:grub_script_execute_cmdline, grub-core/kern/verifiers.c,
 * grub-core/commands/tpm.c. Whatever is not listed here is refused, with file and line.
 */

import type { GrubImage } from './grub-image.ts';
import { parseGrubScript, type Statement, type Word } from './grub-script.ts';
import { grubTest } from './grub-test.ts';
import type { BootFile, Measurement } from './measurement.ts';
import { notPredictable } from './measurement.ts';

const COMMAND_PCR = 8;
const FILE_PCR = 9;
const MAX_COMMANDS = 20_000;
const MAX_DEPTH = 16;
/** Commands that read no file and change nothing that decides what is measured. */
const WITHOUT_EFFECT = new Set([
  'echo',
  'true',
  'export',
  'terminal_input',
  'terminal_output',
  'terminal',
  'setparams',
  'clear',
]);
/** Options of `menuentry` that take a word. */
const ENTRY_OPTIONS = new Set(['--class', '--users', '--hotkey', '--id']);

/** A disk as GRUB sees it: `(hd0,gpt1)`. */
export interface GrubDisk {
  readonly device: string;
  /** As `search --fs-uuid` looks for it. */
  readonly uuid?: string;
  /** A file by its path from the root, or undefined. FAT takes letters of either case. */
  file(path: string): BootFile | undefined;
  isDirectory(path: string): boolean;
}

export interface GrubBoot {
  /** In the order of extends within each PCR. */
  readonly measurements: readonly Measurement[];
  readonly kernel: BootFile;
  /** The menu entry that boots, and what else is not certain. */
  readonly warnings: readonly string[];
}

interface MenuEntry {
  readonly title: string;
  readonly id: string | undefined;
  readonly parameters: readonly string[];
  readonly block: { readonly text: string; readonly line: number };
  readonly name: string;
  readonly isSubmenu: boolean;
}

/** @throws {BootError} `boot.not-predictable`, naming file and line */
export function followGrub(grub: GrubImage, disks: readonly GrubDisk[], bootDevice: string): GrubBoot {
  return new GrubRun(disks, bootDevice, `${bootDevice}${grub.prefix}`).boot(grub.configuration);
}

class GrubRun {
  readonly #disks: readonly GrubDisk[];
  readonly #variables = new Map<string, string>();
  readonly #functions = new Map<string, { readonly body: readonly Statement[]; readonly name: string }>();
  readonly #measurements: Measurement[] = [];
  readonly #warnings: string[] = [];
  #entries: MenuEntry[] = [];
  #kernel: BootFile | undefined;
  #commands = 0;
  #depth = 0;
  #place = '';

  constructor(disks: readonly GrubDisk[], bootDevice: string, prefix: string) {
    this.#disks = disks;
    this.#variables.set('prefix', prefix);
    this.#variables.set('root', bootDevice.slice(1, -1));
    for (const [name, value] of [
      ['grub_platform', 'efi'],
      ['grub_cpu', 'x86_64'],
    ] as const)
      this.#variables.set(name, value);
  }

  boot(configuration: GrubImage['configuration']): GrubBoot {
    this.#place = configuration.name;
    const commandList = `${this.#variables.get('prefix')}/x86_64-efi/command.lst`;
    if (this.#isFile(commandList))
      this.#refuse(`${commandList} is there, and GRUB reads module lists that are not followed`);
    this.#script(configuration.text, configuration.name);
    for (let level = 0; this.#kernel === undefined; level++) {
      if (level === MAX_DEPTH) this.#refuse('submenus without an end');
      this.#choose();
    }
    return { measurements: this.#measurements, kernel: this.#kernel, warnings: this.#warnings };
  }

  #refuse(what: string): never {
    throw notPredictable(`${this.#place}: ${what}`, 'only what GRUB surely does is predicted');
  }

  /** The default entry is what boots when nobody touches the keyboard. */
  #choose(): void {
    if (this.#entries.length === 0) this.#refuse('no menu entry, so GRUB would wait at its prompt');
    const wanted = this.#variables.get('default') ?? '0';
    if (this.#variables.get('timeout') === undefined) {
      this.#warnings.push('no timeout is set: GRUB waits for somebody to choose, and the default entry is assumed');
    }
    if (wanted.includes('>')) this.#refuse(`default '${wanted}' names an entry of a submenu, which is not followed`);
    const entry =
      this.#entries.find(({ title, id }) => title === wanted || id === wanted) ??
      (/^\d+$/.test(wanted) ? this.#entries[Number(wanted)] : undefined);
    if (entry === undefined) this.#refuse(`default '${wanted}' names no menu entry`);
    if (entry.isSubmenu) this.#refuse(`default '${wanted}' is a submenu, where GRUB waits for somebody to choose`);
    this.#entries = [];
    this.#measureCommand(['setparams', entry.title, ...entry.parameters], `${entry.name}, line ${entry.block.line}`);
    this.#script(entry.block.text.slice(1, -1), entry.name, entry.block.line);
    if (this.#kernel === undefined) this.#refuse(`menu entry '${entry.title}' boots no Linux kernel`);
  }

  #script(text: string, name: string, firstLine = 1): void {
    if (++this.#depth > MAX_DEPTH) this.#refuse('configuration files that read one another without an end');
    this.#run(parseGrubScript(text, name, firstLine), name);
    this.#depth--;
  }

  /** True where the last command succeeded. */
  #run(statements: readonly Statement[], name: string, isCondition = false): boolean {
    let result = true;
    for (const statement of statements) {
      this.#place = `${name}, line ${statement.line}`;
      if (statement.kind === 'function') this.#functions.set(statement.name, { body: statement.body, name });
      else if (statement.kind === 'if') this.#if(statement, name);
      else result = this.#command(this.#expand(statement.words), statement.words, isCondition, name);
    }
    return result;
  }

  #if({ arms }: Extract<Statement, { kind: 'if' }>, name: string): void {
    for (const { condition, body } of arms) {
      if (condition !== undefined && !this.#run(condition, name, true)) continue;
      this.#run(body, name);
      return;
    }
  }

  #expand(words: readonly Word[]): string[] {
    return words.flatMap((word) => {
      if (word.block !== undefined) return [word.block.text];
      const fields = [''];
      let isThere = word.quoted;
      for (const part of word.parts) {
        if (part.kind === 'text' || part.quoted) {
          fields.push(fields.pop() + (part.kind === 'text' ? part.text : this.#value(part.name)));
          isThere = true;
          continue;
        }
        const [first = '', ...others] = this.#value(part.name).split(/\s+/);
        fields.push(fields.pop() + first, ...others);
      }
      return isThere || fields.some((field) => field !== '') ? fields : [];
    });
  }

  /** GRUB sets variables of its own; one that no script has set is not taken to be empty. */
  #value(name: string): string {
    return (
      this.#variables.get(name) ?? this.#refuse(`variable '${name}' is set nowhere, and GRUB may have its own value`)
    );
  }

  #measureCommand(words: readonly string[], source: string): void {
    if (++this.#commands > MAX_COMMANDS) this.#refuse(`more than ${MAX_COMMANDS} commands`);
    const text = words.join(' ');
    const what = `grub_cmd: ${text}`;
    this.#measurements.push({ pcr: COMMAND_PCR, what, source, over: { bytes: Buffer.from(text) } });
  }

  #command(words: readonly string[], written: readonly Word[], isCondition: boolean, script: string): boolean {
    const [command, ...args] = words;
    if (command === undefined) return true;
    this.#measureCommand(words, this.#place);
    const assignment = /^([A-Za-z_]\w*)=(.*)$/s.exec(command);
    if (assignment !== null && args.length === 0) return this.#set(command);
    const called = this.#functions.get(command);
    if (called !== undefined) return this.#call(called, args);
    if (WITHOUT_EFFECT.has(command)) return true;
    switch (command) {
      case 'false':
        return false;
      case 'set':
        return args.length === 1 ? this.#set(args[0] ?? '') : this.#refuse('set with several words');
      case 'unset':
        for (const name of args) this.#variables.set(name, '');
        return true;
      case '[':
      case 'test':
        return this.#test(command === '[' ? args.slice(0, -1) : args, command === '[' ? args.at(-1) : ']');
      case 'insmod':
        return this.#insmod(args, isCondition);
      case 'search':
      case 'search.fs_uuid':
        return this.#search(command, args);
      case 'source':
      case '.':
        return this.#source(args);
      case 'menuentry':
      case 'submenu':
        return this.#menuEntry(command, args, written, script);
      case 'linux':
      case 'linuxefi':
        return this.#linux(args);
      case 'initrd':
      case 'initrdefi':
        for (const path of args) this.#measureFile(path);
        return true;
      default:
        return this.#refuse(`command '${command}' is not followed`);
    }
  }

  #set(assignment: string): boolean {
    const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(assignment) ?? [];
    if (name === undefined || value === undefined) this.#refuse(`'set ${assignment}' is no assignment`);
    this.#variables.set(name, name === 'root' ? value.replace(/^\((.*)\)$/, '$1') : value);
    return true;
  }

  #call(
    { body, name }: { readonly body: readonly Statement[]; readonly name: string },
    args: readonly string[],
  ): boolean {
    if (args.length > 0) this.#refuse('a function with arguments');
    if (++this.#depth > MAX_DEPTH) this.#refuse('functions that call one another without an end');
    const result = this.#run(body, name);
    this.#depth--;
    return result;
  }

  #test(words: readonly string[], closing: string | undefined): boolean {
    const result =
      closing === ']'
        ? grubTest(words, { isFile: (path) => this.#isFile(path), isDirectory: (path) => this.#isDirectory(path) })
        : undefined;
    return result ?? this.#refuse(`the test '${words.join(' ')}' is not followed`);
  }

  /** Without its file, insmod finds the module built in or fails; either way nothing is read. */
  #insmod(args: readonly string[], isCondition: boolean): boolean {
    for (const module of args) {
      const path = `${this.#variables.get('prefix')}/x86_64-efi/${module}.mod`;
      if (isCondition || this.#isFile(path)) this.#refuse(`whether '${module}' is read from ${path} is not followed`);
    }
    return true;
  }

  #search(command: string, args: readonly string[]): boolean {
    const words = args.filter((word) => !/^--(no-floppy|hint.*)$/.test(word));
    const byUuid = command === 'search.fs_uuid' || words.includes('--fs-uuid') || words.includes('-u');
    const set =
      command === 'search.fs_uuid' ? words[1] : (words.find((word) => word.startsWith('--set='))?.slice(6) ?? 'root');
    const uuid = command === 'search.fs_uuid' ? words[0] : words.find((word) => !word.startsWith('-'));
    if (!byUuid || uuid === undefined || set === undefined)
      this.#refuse(`this search is not followed: it tries every disk`);
    const disk = this.#disks.find((candidate) => candidate.uuid?.toLowerCase() === uuid.toLowerCase());
    if (disk === undefined) this.#refuse(`no disk is known by UUID ${uuid}`);
    this.#variables.set(set, disk.device.slice(1, -1));
    return true;
  }

  #source([path, ...others]: readonly string[]): boolean {
    if (path === undefined || others.length > 0) this.#refuse('source takes one file');
    const file = this.#measureFile(path);
    const text = Buffer.from(file.bytes).toString('utf8');
    this.#script(text, file.name);
    return true;
  }

  #menuEntry(command: string, args: readonly string[], written: readonly Word[], script: string): boolean {
    const block = written.at(-1)?.block;
    if (block === undefined) this.#refuse(`${command} without a block`);
    const parameters: string[] = [];
    let id: string | undefined;
    for (let i = 0; i < args.length - 1; i++) {
      const word = args[i] ?? '';
      const [option = '', value] = word.split('=', 2);
      if (word === '--unrestricted') continue;
      if (ENTRY_OPTIONS.has(option)) {
        const operand = value ?? args[++i];
        if (option === '--id') id = operand;
      } else if (word === '$menuentry_id_option') this.#refuse('an option that no variable gives');
      else parameters.push(word);
    }
    const [title, ...rest] = parameters;
    if (title === undefined) this.#refuse(`${command} without a title`);
    this.#entries.push({ title, id, parameters: rest, block, name: script, isSubmenu: command === 'submenu' });
    return true;
  }

  #linux([path, ...options]: readonly string[]): boolean {
    if (path === undefined) this.#refuse('linux without a file');
    if (this.#kernel !== undefined) this.#refuse('a second kernel');
    this.#kernel = this.#measureFile(path);
    // grub_create_loader_cmdline escapes these (grub-core/lib/cmdline.c).
    const text = [path, ...options].map((word) => {
      const escaped = word.replace(/["'\\]/g, '\\$&');
      return word.includes(' ') ? `"${escaped}"` : escaped;
    });
    const bytes = Buffer.from(text.join(' '));
    const what = `kernel_cmdline: ${text.join(' ')}`;
    this.#measurements.push({ pcr: COMMAND_PCR, what, source: this.#place, over: { bytes } });
    return true;
  }

  #measureFile(path: string): BootFile {
    const file = this.#locate(path).disk.file(this.#locate(path).path);
    if (file === undefined) this.#refuse(`${path} is not there`);
    this.#measurements.push({ pcr: FILE_PCR, what: path, source: file.name, over: { bytes: file.bytes } });
    return file;
  }

  #isFile(path: string): boolean {
    const { disk, path: inside } = this.#locate(path);
    return disk.file(inside) !== undefined;
  }

  #isDirectory(path: string): boolean {
    const { disk, path: inside } = this.#locate(path);
    return disk.isDirectory(inside);
  }

  #locate(path: string): { readonly disk: GrubDisk; readonly path: string } {
    const [, named, inside = path] = /^(\([^)]*\))(.*)$/s.exec(path) ?? [];
    const device = named ?? `(${this.#variables.get('root') ?? ''})`;
    const disk = this.#disks.find((candidate) => candidate.device === device);
    if (disk === undefined) this.#refuse(`nothing is known of disk ${device}`);
    return { disk, path: inside };
  }
}
