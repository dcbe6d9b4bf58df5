/** What people do with a file, and which of IMA's hooks that goes through (kernel: ima_main.c, and who calls it). */
import { MAY, type PolicyFunc } from './rule.ts';

export type UseName =
  | 'run'
  | 'interpret'
  | 'map'
  | 'read'
  | 'write'
  | 'append'
  | 'update'
  | 'module'
  | 'firmware'
  | 'policy'
  | 'kexec-kernel'
  | 'kexec-initramfs';

export interface Hook {
  readonly func: PolicyFunc;
  readonly mask: number;
}

export interface FileUse {
  readonly name: UseName;
  /** Behind a file's name: `is run`. */
  readonly words: string;
  /** In the order in which the kernel asks. The first that measures into a PCR has the entry there; the others find it done. */
  readonly hooks: readonly Hook[];
}

const file = (mask: number): Hook => ({ func: 'FILE_CHECK', mask });
/** Files that are to run are opened with MAY_EXEC alone (fs/exec.c:do_open_execat, open_exec). */
const OPENED_TO_RUN = file(MAY.MAY_EXEC);
const OPENED_TO_READ = file(MAY.MAY_READ);
/** ima_file_mmap, in its order. */
const MAPPED: readonly Hook[] = [
  { func: 'MMAP_CHECK_REQPROT', mask: MAY.MAY_EXEC },
  { func: 'MMAP_CHECK', mask: MAY.MAY_EXEC },
];
/** The kernel reads the whole file for its own use (ima_post_read_file). */
const readBy = (func: PolicyFunc): Hook => ({ func, mask: MAY.MAY_READ });

export const FILE_USES: readonly FileUse[] = [
  {
    name: 'run',
    words: 'is run',
    // ima_bprm_check; then the segments of an ELF file are mapped.
    hooks: [
      OPENED_TO_RUN,
      { func: 'BPRM_CHECK', mask: MAY.MAY_EXEC },
      { func: 'CREDS_CHECK', mask: MAY.MAY_EXEC },
      ...MAPPED,
    ],
  },
  { name: 'interpret', words: 'is loaded as the interpreter of an ELF file', hooks: [OPENED_TO_RUN, ...MAPPED] },
  { name: 'map', words: 'is mapped as a library', hooks: [OPENED_TO_READ, ...MAPPED] },
  { name: 'read', words: 'is read', hooks: [OPENED_TO_READ] },
  { name: 'write', words: 'is written', hooks: [file(MAY.MAY_WRITE)] },
  { name: 'append', words: 'is appended to', hooks: [file(MAY.MAY_WRITE | MAY.MAY_APPEND)] },
  { name: 'update', words: 'is read and written', hooks: [file(MAY.MAY_READ | MAY.MAY_WRITE)] },
  { name: 'module', words: 'is loaded as a kernel module', hooks: [OPENED_TO_READ, readBy('MODULE_CHECK')] },
  { name: 'firmware', words: 'is loaded as firmware', hooks: [OPENED_TO_READ, readBy('FIRMWARE_CHECK')] },
  { name: 'policy', words: 'is loaded as IMA policy', hooks: [OPENED_TO_READ, readBy('POLICY_CHECK')] },
  {
    name: 'kexec-kernel',
    words: 'is loaded as the next kernel',
    hooks: [OPENED_TO_READ, readBy('KEXEC_KERNEL_CHECK')],
  },
  {
    name: 'kexec-initramfs',
    words: 'is loaded as the next kernel’s initramfs',
    hooks: [OPENED_TO_READ, readBy('KEXEC_INITRAMFS_CHECK')],
  },
];

/** What a file is, as far as its first bytes, name and mode tell. */
export type FileKind = 'program' | 'script' | 'interpreter' | 'library' | 'module' | 'other';

const ELF = Buffer.from('\x7fELF', 'latin1');
const ET = { rel: 1, exec: 2, dyn: 3 } as const;
const PT_INTERP = 3;

/**
 * @param start its first bytes, 4096 of them where there are as many: an ELF file's program headers are among them
 * @param mode `st_mode`
 */
export function fileKind(path: string, mode: number, start: Uint8Array): FileKind {
  const bytes = Buffer.from(start.buffer, start.byteOffset, start.byteLength);
  const isExecutable = (mode & 0o111) !== 0;
  if (!bytes.subarray(0, 4).equals(ELF)) {
    return isExecutable && bytes.toString('latin1', 0, 2) === '#!' ? 'script' : 'other';
  }
  const type = elfNumber(bytes, 16, 2);
  if (type === ET.rel) return 'module';
  if (type === ET.exec) return 'program';
  if (type !== ET.dyn) return 'other';
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (/^ld(?:[-.]|64).*\.so/.test(name)) return 'interpreter';
  // Before the interpreter is looked for: glibc's libc.so.6 names one.
  if (/\.so(?:\.|$)/.test(name)) return 'library';
  return hasInterpreter(bytes) || isExecutable ? 'program' : 'library';
}

/** A number of an ELF file in its own byte order (e_ident[EI_DATA]); 0 where the bytes end before. */
function elfNumber(bytes: Buffer, at: number, size: 2 | 4 | 8): number {
  if (at + size > bytes.length) return 0;
  const isLittle = bytes[5] === 1;
  if (size === 8) return Number(isLittle ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at));
  return isLittle ? bytes.readUIntLE(at, size) : bytes.readUIntBE(at, size);
}

function hasInterpreter(bytes: Buffer): boolean {
  const is64 = bytes[4] === 2;
  const start = elfNumber(bytes, is64 ? 32 : 28, is64 ? 8 : 4);
  const size = elfNumber(bytes, is64 ? 54 : 42, 2);
  const count = elfNumber(bytes, is64 ? 56 : 44, 2);
  for (let index = 0; index < count; index++) {
    const at = start + index * size;
    if (at + 4 > bytes.length) return false;
    if (elfNumber(bytes, at, 4) === PT_INTERP) return true;
  }
  return false;
}

const LIKELY: Readonly<Record<FileKind, readonly UseName[]>> = {
  program: ['run', 'read'],
  script: ['run', 'read'],
  interpreter: ['interpret', 'map', 'read'],
  library: ['map', 'read'],
  module: ['module', 'read'],
  other: ['read', 'firmware', 'policy', 'kexec-kernel', 'kexec-initramfs', 'write', 'append', 'update'],
};

const isMapped = ({ func }: Hook): boolean => MAPPED.some((hook) => hook.func === func);

/** The hooks that a use of a file of this kind goes through. A script is not mapped: its interpreter reads it. */
export const hooksOf = (use: FileUse, kind: FileKind): readonly Hook[] =>
  kind === 'script' && use.name === 'run'
    ? [...use.hooks.filter((hook) => !isMapped(hook)), OPENED_TO_READ]
    : use.hooks;

/** What is done with a file of this kind, the likeliest first. */
export const usesOf = (kind: FileKind): FileUse[] =>
  LIKELY[kind].flatMap((name) => FILE_USES.filter((use) => use.name === name));

/** What root alone may do. */
export const isOfRoot = ({ hooks }: FileUse): boolean =>
  hooks.some(({ func, mask }) => func !== 'FILE_CHECK' && mask === MAY.MAY_READ);
