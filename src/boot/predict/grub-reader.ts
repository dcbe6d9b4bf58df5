/**
 * What GRUB reads and so measures into PCR 9, and which state reading changes: lists of modules, modules, fonts,
 * catalogs of a language, its environment block (GRUB 2.06, grub-core/kern/verifiers.c, grub-core/commands/tpm.c).
 */
import { type GrubDisk, locate, parseSearch } from './grub-disk.ts';
import type { GrubImage } from './grub-image.ts';
import { moduleDependencies } from './grub-module.ts';
import { grubTest } from './grub-test.ts';
import { GrubVariables, parseEnvironmentBlock } from './grub-variables.ts';
import { type BootFile, type Measurement, notPredictable } from './measurement.ts';

const FILE_PCR = 9;
/** As often as they are read; a boot reads some hundred files. */
const MAX_FILES = 10_000;
const MAX_FILE_BYTES = 8 * 2 ** 30;
/** Modules that need one another. */
const MAX_MODULES = 1000;
/** Modules that name disks anew, measure, or set variables by themselves. */
const REFUSED_MODULES = /^(nativedisk|ahci|ata|pata|[oue]hci|usb\w*|datehook|gettext|tpm|normal|shim_lock|net|efinet)$/;
/** grub-core/normal/main.c:read_lists. */
const LISTS = ['command', 'fs', 'crypto', 'terminal'];
const CATALOG = Buffer.from('de120495', 'hex');
const FONT = Buffer.from('FILE\0\0\0\x04PFF2', 'latin1');
const TERMINALS = new Set(['console', 'gfxterm']);
/** Readers by the ends of names, as GRUB chooses them (grub-core/video/readers). */
const PICTURES = [
  { module: 'png', name: /\.png$/i, begins: Buffer.from('89504e47', 'hex') },
  { module: 'jpeg', name: /\.jpe?g$/i, begins: Buffer.from('ffd8', 'hex') },
  { module: 'tga', name: /\.tga$/i, begins: Buffer.alloc(0) },
];
const HOOKED = ['prefix', 'root', 'lang', 'locale_dir', 'secondary_locale_dir'];

export interface GrubOptions {
  /** With it shim lets no module and no font of the disk through; left out: a configuration that wants some is refused. */
  readonly isSecureBoot?: boolean;
  /** What is chosen in the menus, as variable `default` would have it: `1>0`; left out: what boots by itself. */
  readonly entry?: string;
  /** Whether the firmware has a display, for images on it; left out: a configuration that asks is refused. */
  readonly hasDisplay?: boolean;
}

export class GrubReader {
  readonly measurements: Measurement[] = [];
  readonly variables: GrubVariables;
  /** File and line of what is being run. */
  place = '';
  readonly #grub: GrubImage;
  readonly #disks: readonly GrubDisk[];
  readonly #options: GrubOptions;
  readonly #modules: Set<string>;
  #knowsFileSystems = false;
  #files = 0;
  #fileBytes = 0;
  /** If the firmware has a display. */
  #isGraphical = false;

  constructor(grub: GrubImage, disks: readonly GrubDisk[], bootDevice: string, options: GrubOptions) {
    this.#grub = grub;
    this.#disks = disks;
    this.#options = options;
    this.#modules = new Set(grub.modules);
    const prefix = `${bootDevice}${grub.prefix}`;
    this.variables = new GrubVariables(bootDevice.slice(1, -1), prefix, options.isSecureBoot);
  }

  refuse(what: string, advice = 'only what GRUB surely does is predicted'): never {
    throw notPredictable(`${this.place}: ${what}`, advice);
  }

  value(name: string): string {
    return (
      this.variables.get(name) ?? this.refuse(`variable '${name}' is set nowhere, and GRUB may have its own value`)
    );
  }

  has(module: string): boolean {
    return this.#modules.has(module);
  }

  #isSecureBoot(): boolean {
    return (
      this.#options.isSecureBoot ??
      this.refuse(
        'whether Secure Boot is on decides what GRUB does here',
        'give a log of the machine, or its variable SecureBoot',
      )
    );
  }

  /** Some variables have GRUB read files when they are written. */
  assign(name: string, value: string): void {
    if (name === 'theme' && value !== '') this.refuse('a theme, whose files are not followed', 'unset GRUB_THEME');
    this.variables.set(name, name === 'root' ? value.replace(/^\((.*)\)$/, '$1') : value);
    if (name === 'prefix') this.readLists(value);
    if (['prefix', 'lang', 'locale_dir'].includes(name))
      this.#readCatalog(this.value('locale_dir') || `${this.value('prefix')}/locale`);
    const second = this.value('secondary_locale_dir');
    if ((name === 'lang' || name === 'secondary_locale_dir') && second !== '') this.#readCatalog(second);
  }

  unset(name: string): void {
    if (HOOKED.includes(name)) this.assign(name, '');
    else this.variables.unset(name);
  }

  /** grub-core/normal/main.c:read_lists. */
  readLists(prefix: string): void {
    for (const list of LISTS) {
      const path = `${prefix}/x86_64-efi/${list}.lst`;
      if (!this.isFile(path)) continue;
      const { bytes } = this.measureFile(path);
      if (list === 'fs') this.#knowsFileSystems = bytes.length > 0;
    }
  }

  /** grub-core/gettext/gettext.c:grub_gettext_init_ext. */
  #readCatalog(folder: string): void {
    const lang = this.value('lang');
    if (lang === '' || !this.#modules.has('gettext')) return;
    const names = lang.includes('_') ? [lang, lang.split('_', 1)[0] ?? ''] : [lang];
    for (const name of names) {
      for (const ending of ['mo', 'mo.gz', 'gmo']) {
        const path = `${folder}/${name}.${ending}`;
        if (!this.isFile(path)) continue;
        const { bytes } = this.measureFile(path);
        if (ending === 'mo.gz' || CATALOG.equals(bytes.subarray(0, CATALOG.length))) return;
      }
    }
  }

  test(words: readonly string[], closing: string | undefined): boolean {
    const isFilled = (path: string): boolean => this.isFile(path) && this.measureFile(path).bytes.length > 0;
    const files = { isFile: (path: string) => this.isFile(path), isFilled };
    const isDirectory = (path: string): boolean => this.#located(path).disk.isDirectory(this.#located(path).path);
    const result = closing === ']' ? grubTest(words, { ...files, isDirectory }) : undefined;
    return result ?? this.refuse(`the test '${words.join(' ')}' is not followed`);
  }

  load(module: string): void {
    const path = `${this.value('prefix')}/x86_64-efi/${module}.mod`;
    if (this.#modules.has(module) || !this.isFile(path)) return;
    const { bytes } = this.measureFile(path);
    // The TPM's verifier comes before shim's, which lets no module through (grub-core/kern/efi/sb.c).
    if (this.#isSecureBoot()) return;
    if (REFUSED_MODULES.test(module))
      this.refuse(`module ${module} changes what GRUB does in ways that are not followed`);
    if (this.#modules.size >= MAX_MODULES) this.refuse(`more than ${MAX_MODULES} modules`);
    this.#modules.add(module);
    for (const needed of moduleDependencies(bytes)) this.load(needed);
  }

  search(command: string, args: readonly string[]): boolean {
    const asked = parseSearch(command, args);
    if (asked === undefined) this.refuse('this search is not followed: it tries every disk');
    const { uuid, variable, hints } = asked;
    const found = this.#disks.filter((candidate) => candidate.uuid?.toLowerCase() === uuid.toLowerCase());
    const hinted = found.find(({ device }) => hints.includes(device.slice(1, -1)));
    const [disk] = hinted === undefined ? found : [hinted];
    if (disk === undefined) this.refuse(`no disk is known by UUID ${uuid}`, "name it: --disk '(hd0,gpt2),UUID=FOLDER'");
    // GRUB then tries each partition, and reads a module for each file system that it does not know.
    if (hinted === undefined && this.#knowsFileSystems)
      this.refuse(`this search has no hint for ${disk.device}: what is read to try other disks is not known`);
    this.assign(variable, disk.device.slice(1, -1));
    return true;
  }

  /** What is saved is of the next boot; reading it so is not verified, and not measured (loadenv.c:grub_cmd_save_env). */
  environment(command: string, args: readonly string[]): boolean {
    const names = args.filter((word) => !word.startsWith('-'));
    const options = args.filter((word) => word.startsWith('-'));
    if (options.some((option) => option !== '--skip-sig' && option !== '-s') || args.includes('-f'))
      this.refuse(`${command} with '${options.join(' ')}' is not followed`);
    const path = `${this.value('prefix')}/grubenv`;
    if (!this.isFile(path)) return false;
    if (command === 'save_env') return names.length > 0;
    const bytes = options.length > 0 ? this.fileAt(path).bytes : this.measureFile(path).bytes;
    const block = parseEnvironmentBlock(bytes);
    for (const [name, value] of block ?? []) if (names.length === 0 || names.includes(name)) this.assign(name, value);
    return block !== undefined;
  }

  loadFont(name: string): boolean {
    const isPath = /^[/(+]/.test(name);
    if (!isPath && this.#grub.memdiskFile(`/fonts/${name}.pf2`) !== undefined) return true;
    const path = isPath ? name : `${this.value('prefix')}/fonts/${name}.pf2`;
    if (!this.isFile(path)) return false;
    const { bytes } = this.measureFile(path);
    return !this.#isSecureBoot() && FONT.equals(bytes.subarray(0, FONT.length));
  }

  /** grub-core/term/gfxterm_background.c: nothing is opened before the screen is in a graphics mode. */
  background([path, ...others]: readonly string[]): boolean {
    if (path === undefined || others.length > 0 || path.startsWith('-'))
      this.refuse('background_image without one file');
    const format = PICTURES.find(({ name }) => name.test(path));
    if (!this.#isGraphical || format === undefined || !this.#modules.has(format.module) || !this.isFile(path))
      return false;
    const { hasDisplay } = this.#options;
    if (hasDisplay === undefined)
      this.refuse('GRUB reads this picture only where the firmware has a display', 'say so: --display yes or no');
    if (!hasDisplay) return false;
    const { bytes } = this.measureFile(path);
    return format.begins.equals(bytes.subarray(0, format.begins.length));
  }

  terminal(command: string, args: readonly string[]): boolean {
    const other = args.find((word) => !TERMINALS.has(word) && !/^serial\w*$/.test(word));
    if (other !== undefined) this.refuse(`terminal '${other}' is not followed`);
    const missing = args.find((word) => word === 'gfxterm' && !this.#modules.has(word));
    if (missing !== undefined)
      this.refuse(`module ${missing} is not built in, and which files GRUB then reads is not followed`);
    if (command === 'terminal_output') this.#isGraphical = args.includes('gfxterm');
    return true;
  }

  measureFile(path: string): BootFile {
    const file = this.fileAt(path);
    this.#fileBytes += file.bytes.length;
    if (++this.#files > MAX_FILES || this.#fileBytes > MAX_FILE_BYTES)
      this.refuse(`more than ${MAX_FILES} files, or ${MAX_FILE_BYTES} bytes of them`);
    this.measurements.push({ pcr: FILE_PCR, what: path, source: file.name, over: { bytes: file.bytes } });
    return file;
  }

  fileAt(path: string): BootFile {
    const { disk, path: inside } = this.#located(path);
    return disk.file(inside) ?? this.refuse(`${path} is not there`);
  }

  isFile(path: string): boolean {
    const { disk, path: inside } = this.#located(path);
    return disk.file(inside) !== undefined;
  }

  #located(path: string): { readonly disk: GrubDisk; readonly path: string } {
    const [device] = /^\([^)]*\)/.exec(path) ?? [`(${this.value('root')})`];
    return (
      locate(this.#disks, path, this.value('root')) ??
      this.refuse(`nothing is known of disk ${device}`, `name it: --disk '${device}=FOLDER'`)
    );
  }
}
