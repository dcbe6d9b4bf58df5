/** The boots that `boot predict` is asked for, read from the files that they will load. */
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import {
  type BootFile,
  type BootLog,
  type BootWay,
  type GrubDisk,
  isStubCompanion,
  predictEntries,
  STUB_FOLDER_OF_IMAGE,
  STUB_FOLDERS,
} from '../boot/index.ts';
import { UsageError } from './usage-error.ts';

export const WAYS = ['shim-grub', 'grub', 'systemd-boot', 'uki', 'qemu-kernel'] as const;

/** Options of the command that describe the boot. */
export interface WayOptions {
  readonly esp?: string;
  readonly loader: string;
  readonly grub?: string;
  readonly device: string;
  readonly disk?: readonly string[];
  readonly display?: 'yes' | 'no';
  readonly entry?: readonly string[];
  readonly uki?: string;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly cmdline?: string;
  readonly cmdlineFile?: string;
  readonly memory?: string;
  readonly mokList?: string;
  readonly mokListX?: string;
}

export const needed = (value: string | undefined, option: string): string => {
  if (value === undefined) throw new UsageError(`this way to boot needs ${option}`, 'see assay boot predict --help');
  return value;
};

export const read = (path: string): BootFile => ({ name: path, bytes: readFileSync(path) });

export interface NamedWay {
  readonly name: string;
  readonly boot: BootWay;
  /** One of every entry that is there, some of which start no Linux: nobody asked for this one by name. */
  readonly isFound?: boolean;
}

export function waysOf(
  way: string,
  options: WayOptions,
  base: BootLog | undefined,
  variables: Readonly<Record<string, Uint8Array>>,
): NamedWay[] {
  switch (way) {
    case 'uki':
      return [{ name: 'uki', boot: unifiedImage(needed(options.uki, '--uki'), options) }];
    case 'qemu-kernel':
      return [{ name: way, boot: qemuKernel(options) }];
    case 'shim-grub':
      return grubEntries(shimGrub(options), options, base, variables);
    case 'grub':
      return grubEntries(
        { way, ...grubPart(partition(needed(options.esp, '--esp')), options) },
        options,
        base,
        variables,
      );
    case 'systemd-boot':
      return systemdBoot(options);
    default:
      throw new UsageError(`there is no way to boot '${way}'`, `use one of ${WAYS.join(', ')}`);
  }
}

/** What lies where the stub will look: beside the image, and on the partition where that is named. */
function unifiedImage(path: string, { esp }: WayOptions): BootWay {
  const beside = companionsIn(dirname(path), [`${basename(path)}${STUB_FOLDER_OF_IMAGE}`]);
  return { way: 'uki', uki: read(path), companions: [...beside, ...(esp === undefined ? [] : companionsIn(esp))] };
}

function companionsIn(folder: string, places = STUB_FOLDERS): string[] {
  return places.flatMap((place) =>
    namesIn(join(folder, place))
      .filter(isStubCompanion)
      .map((name) => `${place}/${name}`),
  );
}

const namesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);

const SMALLEST_MEMORY = 1;

function qemuKernel(options: WayOptions): BootWay {
  const initrd = options.initrd === undefined ? undefined : read(options.initrd);
  const kernel = read(needed(options.kernel, '--kernel'));
  // Without an initrd nothing is placed by it.
  const memory = initrd === undefined ? (options.memory ?? `${SMALLEST_MEMORY}`) : needed(options.memory, '--memory');
  const memoryMiB = Number(memory);
  if (!Number.isInteger(memoryMiB) || memoryMiB < SMALLEST_MEMORY)
    throw new UsageError('--memory is no number of MiB', 'give what -m has');
  return { way: 'qemu-kernel', kernel, initrd, commandLine: commandLine(options), memoryMiB };
}

function commandLine({ cmdline, cmdlineFile }: WayOptions): string {
  if (cmdlineFile === undefined) return needed(cmdline, '--cmdline or --cmdline-file');
  if (cmdline !== undefined) throw new UsageError('--cmdline and --cmdline-file both say it', 'give one of them');
  // As kernel-install takes it: lines are joined, spaces at the ends fall away.
  return readFileSync(cmdlineFile, 'utf8')
    .trim()
    .replace(/\s*\n\s*/g, ' ');
}

type GrubWay = Extract<BootWay, { way: 'grub' | 'shim-grub' }>;

const EVERY = 'every';

function grubEntries(
  boot: GrubWay,
  { entry }: WayOptions,
  base: BootLog | undefined,
  variables: Readonly<Record<string, Uint8Array>>,
): NamedWay[] {
  if (entry === undefined) return [{ name: boot.way, boot }];
  return entry.flatMap((asked) =>
    asked === EVERY
      ? predictEntries(boot, base, variables).map((found) => ({
          name: found.titles.join(' > '),
          boot: { ...boot, entry: found.entry },
          isFound: true,
        }))
      : [{ name: asked, boot: { ...boot, entry: asked } }],
  );
}

function shimGrub(options: WayOptions): GrubWay {
  const esp = partition(needed(options.esp, '--esp'));
  refuseFallback(esp, options.loader);
  const { mokList, mokListX } = options;
  return {
    way: 'shim-grub',
    shim: esp.required(options.loader),
    ...grubPart(esp, options),
    owner: {
      ...(mokList === undefined ? {} : { mokList: readFileSync(mokList) }),
      ...(mokListX === undefined ? {} : { mokListX: readFileSync(mokListX) }),
    },
  };
}

const DEFAULT_FOLDER = /^[\\/]*EFI[\\/]+BOOT[\\/]/i;

/** From there shim starts what makes boot options (shim: shim.c, should_use_fallback). */
function refuseFallback(esp: Partition, loader: string): void {
  if (!DEFAULT_FOLDER.test(loader)) return;
  const found = ['fbx64.efi', 'FBX64.EFI'].find((name) => esp.file(join(dirname(loader), name)) !== undefined);
  if (found === undefined) return;
  throw new UsageError(
    `beside ${loader} lies ${found}, which shim starts from there instead of GRUB`,
    'name the shim that the boot option starts: --loader EFI/debian/shimx64.efi',
  );
}

function grubPart(esp: Partition, options: WayOptions): Omit<Extract<BootWay, { way: 'grub' }>, 'way'> {
  // shim and a boot option of GRUB's own name it in the loader's folder.
  const { loader, grub = join(dirname(loader), 'grubx64.efi'), device, display } = options;
  return {
    grub: esp.required(grub),
    disks: grubDisks(esp, options),
    bootDevice: device,
    ...(display === undefined ? {} : { hasDisplay: display === 'yes' }),
  };
}

/** `(hd0,gpt2),UUID=FOLDER`; a further one of the ESP's own name brings its UUID. */
function grubDisks(esp: Partition, { device, disk = [] }: WayOptions): GrubDisk[] {
  const given = disk.map((text) => {
    const [, name, uuid, folder] = /^(\([^()=]+\))(?:,([^=]+))?=(.+)$/s.exec(text) ?? [];
    if (name === undefined || folder === undefined)
      throw new UsageError(`--disk ${text} is no partition`, "write it as '(hd0,gpt2),UUID=FOLDER'");
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true)
      throw new UsageError(`--disk ${text}: ${folder} is no folder`, 'name the folder where the partition is mounted');
    const { file, isDirectory } = partition(folder);
    return { device: name, ...(uuid === undefined ? {} : { uuid }), file, isDirectory };
  });
  const own = { device, file: esp.file, isDirectory: esp.isDirectory };
  return given.some((other) => other.device === device) ? given : [own, ...given];
}

function systemdBoot(options: WayOptions): NamedWay[] {
  const folder = needed(options.esp, '--esp');
  const esp = partition(folder);
  const loader = esp.required(options.loader);
  const { entry = [EVERY] } = options;
  return entry
    .flatMap((asked) =>
      (asked === EVERY ? entriesOn(folder) : [asked]).map((path) => ({ path, isFound: asked === EVERY })),
    )
    .map(({ path, isFound }) => {
      const file = esp.required(path);
      const companions = companionsIn(folder, [...STUB_FOLDERS, `${path}${STUB_FOLDER_OF_IMAGE}`]);
      const loads = path.endsWith('.conf') ? { entry: file, file: esp.file } : { uki: file, companions };
      return { name: path, boot: { way: 'systemd-boot', loader, loads }, isFound };
    });
}

/** Where systemd-boot looks for what it starts (Boot Loader Specification). */
function entriesOn(folder: string): string[] {
  const found = [
    ['loader/entries', '.conf'],
    ['EFI/Linux', '.efi'],
  ].flatMap(([place = '', ending = '']) => {
    return namesIn(join(folder, place))
      .filter((name) => name.toLowerCase().endsWith(ending))
      .sort()
      .map((name) => `${place}/${name}`);
  });
  if (found.length === 0)
    throw new UsageError(
      `${folder} has nothing that systemd-boot starts in loader/entries or EFI/Linux`,
      'name another --esp, or a UKI or an entry with --entry',
    );
  return found;
}

interface Partition {
  file(path: string): BootFile | undefined;
  isDirectory(path: string): boolean;
  required(path: string): BootFile;
}

/** Each file is read once, however often GRUB reads it. */
function partition(folder: string): Partition {
  const files = new Map<string, BootFile>();
  const kind = (path: string): ReturnType<typeof statSync> | undefined =>
    statSync(join(folder, path), { throwIfNoEntry: false });
  const file = (path: string): BootFile | undefined => {
    const known = files.get(path);
    if (known !== undefined) return known;
    if (kind(path)?.isFile() !== true) return undefined;
    refuseOutside(folder, path);
    const found = read(join(folder, path));
    files.set(path, found);
    return found;
  };
  return {
    file,
    isDirectory: (path) => kind(path)?.isDirectory() === true,
    required: (path) => file(path) ?? read(join(folder, path)),
  };
}

/** A link that starts from the root means another file here than on the machine that boots. */
function refuseOutside(folder: string, path: string): void {
  const [root, place] = [realpathSync(folder), realpathSync(join(folder, path))];
  if (place.startsWith(root.endsWith(sep) ? root : `${root}${sep}`)) return;
  throw new UsageError(
    `${join(folder, path)}: lies outside of ${folder}, and not on that partition`,
    'a link may lead elsewhere here than on the machine that boots: put the file itself there',
  );
}
