/**
 * GRUB as far as it can be followed: which commands it runs (PCR 8) and which files it reads (PCR 9).
 * Source: GRUB 2.06, grub-core/script/execute.c:grub_script_execute_cmdline, grub-core/kern/verifiers.c,
 * grub-core/commands/tpm.c, grub-core/normal/main.c. Whatever is not listed here is refused, with file and line.
 */

import type { GrubDisk } from './grub-disk.ts';
import type { GrubImage } from './grub-image.ts';
import { chosenEntry, type MenuEntry, menuEntry, splitChoice } from './grub-menu.ts';
import { type GrubOptions, GrubReader } from './grub-reader.ts';
import { type Block, parseGrubScript, type Statement, type Word } from './grub-script.ts';
import { type BootFile, type Measurement, notPredictable } from './measurement.ts';

const COMMAND_PCR = 8;
const MAX_COMMANDS = 20_000;
/** Of all commands and command lines together; GRUB's own memory would not hold them. */
const MAX_TEXT = 64 * 2 ** 20;
/** Of all configurations, each as often as it is read; grub-mkconfig's has some ten KiB. */
const MAX_SCRIPT = 4 * 2 ** 20;
/** Linux on x86: COMMAND_LINE_SIZE, with its NUL. GRUB cuts what is longer. */
const MAX_COMMAND_LINE = 2047;
const MAX_DEPTH = 16;
/** A line that GRUB has no room for; variables that repeat one another grow fast. */
const MAX_LINE = 2 ** 20;

/** Commands that are followed → the module that brings them; `kernel` is always there. */
const COMMANDS: Readonly<Record<string, string>> = {
  ...{ set: 'kernel', unset: 'kernel', insmod: 'kernel', '[': 'test', test: 'test', true: 'true', false: 'true' },
  ...{ export: 'normal', clear: 'normal', setparams: 'normal', menuentry: 'normal', submenu: 'normal' },
  ...{ source: 'configfile', '.': 'configfile', configfile: 'configfile', echo: 'echo', sleep: 'sleep' },
  ...{ search: 'search', 'search.fs_uuid': 'search_fs_uuid', load_env: 'loadenv', save_env: 'loadenv', boot: 'boot' },
  ...{ loadfont: 'font', background_image: 'gfxterm_background', play: 'play', serial: 'serial' },
  ...{ terminal_input: 'terminal', terminal_output: 'terminal', password_pbkdf2: 'password_pbkdf2' },
  ...{ linux: 'linux', initrd: 'linux', linuxefi: 'linuxefi', initrdefi: 'linuxefi' },
};
/** Those that read no file and change nothing that decides what is measured. */
const WITHOUT_EFFECT = new Set(['echo', 'true', 'clear', 'sleep', 'play', 'serial', 'password_pbkdf2']);

export interface GrubBoot {
  /** In the order of extends within each PCR. */
  readonly measurements: readonly Measurement[];
  readonly kernel: BootFile;
  /** Titles of the entries that boot, the menu's first. */
  readonly titles: readonly string[];
  readonly warnings: readonly string[];
}

/** An entry of the menus, by numbers as `1>0`. */
export interface GrubEntry {
  readonly entry: string;
  readonly titles: readonly string[];
}

/** @throws {BootError} `boot.not-predictable`, naming file and line */
export function followGrub(
  grub: GrubImage,
  disks: readonly GrubDisk[],
  bootDevice: string,
  options: GrubOptions,
): GrubBoot {
  return new GrubRun(grub, new GrubReader(grub, disks, bootDevice, options), options.entry).boot();
}

const MAX_ENTRIES = 1000;

/** Every entry that GRUB would show, those of submenus too. @throws as followGrub */
export function grubEntries(
  grub: GrubImage,
  disks: readonly GrubDisk[],
  bootDevice: string,
  options: GrubOptions,
): GrubEntry[] {
  const found: GrubEntry[] = [];
  const open: GrubEntry[] = [{ entry: '', titles: [] }];
  for (let menu = open.shift(); menu !== undefined; menu = open.shift()) {
    const run = new GrubRun(grub, new GrubReader(grub, disks, bootDevice, options), menu.entry, true);
    for (const [i, { title, isSubmenu }] of run.menuBehind().entries()) {
      const entry = { entry: menu.entry === '' ? `${i}` : `${menu.entry}>${i}`, titles: [...menu.titles, title] };
      (isSubmenu ? open : found).push(entry);
      if (open.length + found.length > MAX_ENTRIES) throw notPredictable(`more than ${MAX_ENTRIES} menu entries`);
    }
  }
  return found;
}

interface GrubFunction {
  readonly body: readonly Statement[];
  readonly file: string;
}

/** Thrown through the scripts. */
class MenuShown extends Error {
  readonly entries: readonly MenuEntry[];
  constructor(entries: readonly MenuEntry[]) {
    super('menu shown');
    this.entries = entries;
  }
}

class GrubRun {
  readonly #grub: GrubImage;
  readonly #reader: GrubReader;
  readonly #isForMenu: boolean;
  readonly #functions = new Map<string, GrubFunction>();
  readonly #warnings: string[] = [];
  readonly #titles: string[] = [];
  #parameters: readonly string[] = [];
  #entries: MenuEntry[] = [];
  /** What is still to be chosen; undefined: the default. */
  #wanted: string | undefined;
  /** `$?`; undefined where the number is not known. */
  #status: string | undefined = '';
  #kernel: BootFile | undefined;
  #isBooted = false;
  #commands = 0;
  #text = 0;
  #scriptText = 0;
  #depth = 0;

  /** @param isForMenu what is wanted names no entry but the submenu whose entries are asked for; empty: the first menu */
  constructor(grub: GrubImage, reader: GrubReader, wanted: string | undefined, isForMenu = false) {
    this.#grub = grub;
    this.#reader = reader;
    this.#wanted = wanted;
    this.#isForMenu = isForMenu;
  }

  boot(): GrubBoot {
    const { configuration, version } = this.#grub;
    this.#reader.place = configuration.name;
    if (!this.#reader.has('tpm')) this.#reader.refuse('has no module tpm, so what it measures is not known');
    this.#reader.readLists(this.#value('prefix'));
    this.#script(configuration.text, configuration.name);
    if (!this.#isBooted) this.#menu();
    if (this.#kernel === undefined) this.#reader.refuse('no kernel is loaded');
    if (version !== undefined && version !== '2.06')
      this.#warnings.push(`GRUB ${version} is another than 2.06, with which real boots were compared`);
    const { measurements } = this.#reader;
    return { measurements, kernel: this.#kernel, titles: this.#titles, warnings: this.#warnings };
  }

  /** The menu that stands at the end of what is chosen. */
  menuBehind(): readonly MenuEntry[] {
    try {
      this.boot();
    } catch (error) {
      if (error instanceof MenuShown) return error.entries;
      throw error;
    }
    return [];
  }

  /** Boots an entry of the menu, as run_menu and grub_menu_execute_entry do. */
  #menu(): void {
    const entries = this.#entries;
    if (this.#wanted === '' && this.#isForMenu) throw new MenuShown(entries);
    if (this.#wanted === '') this.#reader.refuse('the entry that was asked for is a submenu', 'name an entry of it');
    if (entries.length === 0) this.#reader.refuse('no menu entry, so GRUB would wait at its prompt');
    const byDefault = this.#value('default');
    const wanted = this.#wanted ?? byDefault;
    const { entry, isNamed } = chosenEntry(entries, wanted === '' ? '0' : wanted);
    if (entry === undefined || (this.#wanted !== undefined && !isNamed))
      this.#reader.refuse(`no menu entry '${wanted}'`, 'ask for the default, or for every entry to see them');
    if (!isNamed && wanted !== '')
      this.#warnings.push(`default '${wanted}' names no menu entry: GRUB takes the first, '${entry.title}'`);
    if (this.#wanted === undefined && this.#titles.length === 0) this.#warnOfWaiting();
    if (entry.isRestricted && this.#value('superusers') !== '')
      this.#warnings.push(`menu entry '${entry.title}' asks for a password before it boots`);
    this.#execute(entry, byDefault);
  }

  #warnOfWaiting(): void {
    const timeout = this.#value('timeout');
    if (timeout === '' || timeout.startsWith('-'))
      this.#warnings.push('no timeout is set: GRUB waits for somebody to choose, and the default entry is assumed');
  }

  #execute(entry: MenuEntry, byDefault: string): void {
    const { title, id, parameters, block, file, isSubmenu } = entry;
    this.#titles.push(title);
    if (this.#wanted !== undefined) this.#wanted = splitChoice(this.#wanted).rest ?? (isSubmenu ? '' : undefined);
    const chosen = this.#value('chosen');
    if (isSubmenu) this.#reader.variables.open();
    if (isSubmenu) this.#reader.variables.set('timeout', '0');
    this.#reader.variables.set('chosen', `${chosen === '' ? '' : `${chosen}>`}${id.replaceAll('>', '>>')}`);
    this.#reader.variables.export('chosen');
    const { rest } = splitChoice(byDefault);
    if (rest === undefined) this.#reader.variables.unset('default');
    else this.#reader.variables.set('default', rest);
    this.#entries = [];
    this.#measureCommand(['setparams', title, ...parameters], `${file}, line ${block.line}`);
    this.#parameters = [title, ...parameters];
    this.#script(block.source.slice(1, -1), file, block.line);
    this.#reader.place = `${file}, line ${block.line}`;
    if (isSubmenu && !this.#isBooted) this.#menu();
    if (this.#kernel === undefined) this.#reader.refuse(`menu entry '${title}' boots no Linux kernel`);
    this.#isBooted = true;
  }

  #script(text: string, file: string, firstLine = 1): void {
    this.#scriptText += text.length;
    if (this.#scriptText > MAX_SCRIPT) this.#reader.refuse(`more than ${MAX_SCRIPT} letters of configuration`);
    if (++this.#depth > MAX_DEPTH) this.#reader.refuse('configuration files that read one another without an end');
    this.#run(parseGrubScript(text, file, firstLine), file);
    this.#depth--;
  }

  /** True where the last command succeeded. */
  #run(statements: readonly Statement[], file: string): boolean {
    let result = true;
    for (const statement of statements) {
      if (this.#isBooted) return true;
      this.#reader.place = `${file}, line ${statement.line}`;
      if (statement.kind === 'function') this.#functions.set(statement.name, { body: statement.body, file });
      else if (statement.kind === 'if') result = this.#if(statement, file);
      else result = this.#command(this.#expand(statement.words), statement.words, file);
    }
    return result;
  }

  #if({ arms }: Extract<Statement, { kind: 'if' }>, file: string): boolean {
    const arm = arms.find(({ condition }) => condition === undefined || this.#run(condition, file));
    return arm === undefined || this.#run(arm.body, file);
  }

  #expand(words: readonly Word[]): string[] {
    let length = 0;
    const value = (name: string): string => {
      const found = this.#value(name);
      length += found.length;
      if (length > MAX_LINE) this.#reader.refuse(`a line of more than ${MAX_LINE} letters`);
      return found;
    };
    return words.flatMap((word) => {
      if (word.block !== undefined) return [word.block.text];
      const fields = [''];
      let isThere = word.quoted;
      for (const part of word.parts) {
        if (part.kind === 'text' || part.quoted) {
          fields.push(fields.pop() + (part.kind === 'text' ? part.text : value(part.name)));
          isThere = true;
          continue;
        }
        const text = value(part.name);
        if (/[*?\\]/.test(text)) this.#reader.refuse(`'$${part.name}' has characters that GRUB may expand`);
        const [first = '', ...others] = text.split(/\s+/);
        fields.push(fields.pop() + first);
        for (const field of others) fields.push(field);
      }
      return isThere || fields.some((field) => field !== '') ? fields : [];
    });
  }

  #value(name: string): string {
    if (/^[1-9]\d*$/.test(name)) return this.#parameters[Number(name) - 1] ?? '';
    if (name === '#') return `${this.#parameters.length}`;
    if (name === '?') return this.#status ?? this.#reader.refuse("'$?' of a command whose error number is not known");
    if (name === '@' || name === '*' || name === '0') return this.#reader.refuse(`'$${name}' is not followed`);
    return this.#reader.value(name);
  }

  #measureCommand(words: readonly string[], source: string): void {
    if (++this.#commands > MAX_COMMANDS) this.#reader.refuse(`more than ${MAX_COMMANDS} commands`);
    const text = words.join(' ');
    this.#text += text.length;
    if (this.#text > MAX_TEXT) this.#reader.refuse(`commands of more than ${MAX_TEXT} letters`);
    const what = `grub_cmd: ${text}`;
    this.#reader.measurements.push({ pcr: COMMAND_PCR, what, source, over: { bytes: Buffer.from(text) } });
  }

  #command(words: readonly string[], written: readonly Word[], file: string): boolean {
    if (words.length === 0) return true;
    this.#measureCommand(words, this.#reader.place);
    const isInverted = words[0] === '!';
    const [command, ...args] = isInverted ? words.slice(1) : words;
    if (command === undefined) this.#reader.refuse("'!' without a command");
    const result = this.#dispatch(command, args, written.at(-1)?.block, file);
    const isTrue = isInverted ? !result : result;
    const isOneOrNone = isTrue || isInverted || ['[', 'test', 'false'].includes(command);
    this.#status = isOneOrNone ? (isTrue ? '0' : '1') : undefined;
    return isTrue;
  }

  #dispatch(command: string, args: readonly string[], block: Block | undefined, file: string): boolean {
    if (Object.hasOwn(COMMANDS, command)) return this.#builtIn(command, args, block, file);
    const called = this.#functions.get(command);
    if (called !== undefined) return this.#call(called, args);
    if (/^[A-Za-z_]\w*=/.test(command)) return this.#set(command);
    return this.#reader.refuse(`command '${command}' is not followed`);
  }

  #builtIn(command: string, args: readonly string[], block: Block | undefined, file: string): boolean {
    const module = COMMANDS[command] ?? '';
    const brought = command === 'linux' || command === 'initrd' ? [module, 'linuxefi'] : [module, 'kernel'];
    if (module !== 'kernel' && !brought.some((name) => this.#reader.has(name)))
      this.#reader.refuse(`command '${command}' needs module ${module}, which this GRUB has not built in`);
    if (WITHOUT_EFFECT.has(command)) return true;
    switch (command) {
      case 'false':
        return false;
      case 'set':
        return args.length === 1 ? this.#set(args[0] ?? '') : this.#reader.refuse('set without one assignment');
      case 'unset':
        for (const name of args) this.#reader.unset(name);
        return true;
      case 'export':
        for (const name of args) this.#reader.variables.export(name);
        return true;
      case 'setparams':
        this.#parameters = args;
        return true;
      case '[':
      case 'test':
        return this.#reader.test(command === '[' ? args.slice(0, -1) : args, command === '[' ? args.at(-1) : ']');
      case 'insmod':
        return this.#insmod(args);
      case 'search':
      case 'search.fs_uuid':
        return this.#reader.search(command, args);
      case 'source':
      case '.':
      case 'configfile':
        return this.#source(command, args);
      case 'load_env':
      case 'save_env':
        return this.#reader.environment(command, args);
      case 'loadfont':
        return args.every((name) => this.#reader.loadFont(name));
      case 'background_image':
        return this.#reader.background(args);
      case 'terminal_input':
      case 'terminal_output':
        return this.#reader.terminal(command, args);
      case 'menuentry':
      case 'submenu':
        return this.#menuEntry(command, args, block, file);
      case 'boot':
        this.#isBooted = this.#kernel !== undefined;
        return this.#isBooted || this.#reader.refuse('boot without a kernel');
      case 'linux':
      case 'linuxefi':
        return this.#linux(args);
      default:
        for (const path of args) this.#reader.measureFile(path);
        return true;
    }
  }

  #set(assignment: string): boolean {
    const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(assignment) ?? [];
    if (name === undefined || value === undefined) this.#reader.refuse(`'set ${assignment}' is no assignment`);
    this.#reader.assign(name, value);
    return true;
  }

  #call({ body, file }: GrubFunction, args: readonly string[]): boolean {
    if (++this.#depth > MAX_DEPTH) this.#reader.refuse('functions that call one another without an end');
    const before = this.#parameters;
    this.#parameters = args;
    const result = this.#run(body, file);
    this.#parameters = before;
    this.#depth--;
    return result;
  }

  /** Succeeds whatever comes of it (grub-core/kern/corecmd.c:grub_core_cmd_insmod). */
  #insmod([name]: readonly string[]): boolean {
    if (name === undefined) return false;
    if (/^[/(+]/.test(name)) this.#reader.refuse('insmod of a path is not followed');
    this.#reader.load(name);
    return true;
  }

  #source(command: string, [path, ...others]: readonly string[]): boolean {
    if (path === undefined || others.length > 0) this.#reader.refuse(`${command} takes one file`);
    const { bytes, name } = this.#reader.measureFile(path);
    const before = ['config_file', 'config_directory'].map((variable) => this.#value(variable));
    const isNew = command === 'configfile';
    const outer = this.#entries;
    if (isNew) this.#reader.variables.open();
    if (isNew) this.#entries = [];
    const full = path.startsWith('(') ? path : `(${this.#value('root')})${path}`;
    for (const [variable, value] of Object.entries({
      config_file: full,
      config_directory: full.replace(/\/[^/]*$/, ''),
    })) {
      this.#reader.variables.set(variable, value);
      this.#reader.variables.export(variable);
    }
    this.#script(Buffer.from(bytes).toString('utf8'), name);
    if (this.#isBooted) return true;
    this.#reader.variables.set('config_file', before[0] ?? '');
    this.#reader.variables.set('config_directory', before[1] ?? '');
    if (!isNew) return true;
    if (this.#entries.length > 0) this.#menu();
    this.#entries = outer;
    this.#reader.variables.close();
    return true;
  }

  #menuEntry(command: string, args: readonly string[], block: Block | undefined, file: string): boolean {
    if (block === undefined) this.#reader.refuse(`${command} without a block`);
    const entry = menuEntry(args.slice(0, -1), block, file, command === 'submenu');
    if (entry === undefined) this.#reader.refuse(`${command} without a title`);
    this.#entries.push(entry);
    return true;
  }

  #linux([path, ...options]: readonly string[]): boolean {
    if (path === undefined) this.#reader.refuse('linux without a file');
    if (this.#kernel !== undefined) this.#reader.refuse('a second kernel');
    this.#kernel = this.#reader.measureFile(path);
    // grub_create_loader_cmdline escapes these (grub-core/lib/cmdline.c).
    const text = [path, ...options].map((word) => {
      const escaped = word.replace(/["'\\]/g, '\\$&');
      return word.includes(' ') ? `"${escaped}"` : escaped;
    });
    const bytes = Buffer.from(text.join(' '));
    if (bytes.length > MAX_COMMAND_LINE)
      this.#reader.refuse(`a command line of ${bytes.length} bytes, of which a kernel takes ${MAX_COMMAND_LINE}`);
    const what = `kernel_cmdline: ${text.join(' ')}`;
    this.#reader.measurements.push({ pcr: COMMAND_PCR, what, source: this.#reader.place, over: { bytes } });
    return true;
  }
}
