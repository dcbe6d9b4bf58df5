/** What is executing and mapped now: the executable mappings of every process. */
import { type BigIntStats, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { kernelMemoryDevices } from '../../sys/index.ts';
import { errnoOf } from '../error.ts';
import { type Mapping, parseMaps } from './maps.ts';
import type { FileMeasurer, MeasuredFile, Measurement } from './measurer.ts';

/** A deleted or replaced file that processes still use. */
export interface StaleFile {
  readonly file: MeasuredFile;
  readonly kind: 'deleted' | 'replaced';
  readonly processes: readonly { readonly pid: number; readonly command: string }[];
}

export interface ProcessWalk {
  /** Every distinct file in use, measured. */
  readonly files: readonly MeasuredFile[];
  /** Those of `files` that the measurer had not given out before. */
  readonly fresh: readonly MeasuredFile[];
  readonly stale: readonly StaleFile[];
  /** Processes whose mappings this user may not read. */
  readonly hiddenProcesses: number;
  /** Files in use whose content could not be read; each is among `files`, marked so. */
  readonly unreadableFiles: number;
  /** Mappings of memory that is no program's file: shared memory, a compiler's own output, devices. */
  readonly skipped: number;
}

interface Use {
  readonly pid: number;
  readonly mapping: Mapping;
}

/**
 * Walks /proc once. A process that ends meanwhile is not counted as anything.
 * @param between called after each file: a walk can take long where much is to be hashed
 */
export function walkProcesses(measurer: FileMeasurer, between = (): void => undefined): ProcessWalk {
  const { uses, hiddenProcesses } = findUses();
  const files: MeasuredFile[] = [];
  const fresh: MeasuredFile[] = [];
  const stale: StaleFile[] = [];
  let unreadableFiles = 0;
  let skipped = 0;
  for (const processes of uses.values()) {
    const name = processes[0]?.mapping.name ?? '';
    const result = measurer.touching(name, () => measureFirst(processes, measurer));
    between();
    if (result === 'gone') continue;
    if (result === undefined) skipped++;
    else {
      if (result.file.unmeasured === 'unreadable') unreadableFiles++;
      files.push(result.file);
      if (result.isNew) fresh.push(result.file);
      const { state } = result.file;
      if (state === 'deleted' || state === 'replaced') {
        stale.push({ file: result.file, kind: state, processes: processes.map(({ pid }) => named(pid)) });
      }
    }
  }
  return { files, fresh, stale, hiddenProcesses, unreadableFiles, skipped };
}

/** Distinct files in use → their processes, each once. */
function findUses(): { uses: Map<string, Use[]>; hiddenProcesses: number } {
  const uses = new Map<string, Use[]>();
  let hiddenProcesses = 0;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    try {
      for (const mapping of parseMaps(readFileSync(`/proc/${pid}/maps`, 'latin1'))) {
        // A memfd mapped shared is a compiler's, mapped privately a program: two uses of one file.
        const key = `${mapping.file} ${mapping.isShared} ${mapping.name}`;
        const known = uses.get(key);
        if (known === undefined) uses.set(key, [{ pid, mapping }]);
        else if (known.at(-1)?.pid !== pid) known.push({ pid, mapping });
      }
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'EACCES' || errno === 'EPERM') hiddenProcesses++;
      else if (errno !== 'ENOENT' && errno !== 'ESRCH') throw error;
    }
  }
  return { uses, hiddenProcesses };
}

/** Through the first process that still has it: mappings come and go during the walk. */
function measureFirst(uses: readonly Use[], measurer: FileMeasurer): Measurement | undefined | 'gone' {
  let unreadable: Use | undefined;
  for (const use of uses) {
    const door = openDoor(use);
    if (door === undefined) {
      if (isKernelMemory(use.mapping)) return undefined;
      if (stillMaps(use)) unreadable ??= use;
      continue;
    }
    try {
      return measurer.measure({ ...door, pid: use.pid, isShared: use.mapping.isShared }, door.content);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === undefined) throw error;
      if (errno !== 'ENOENT' && errno !== 'ESRCH' && stillMaps(use)) unreadable ??= use;
    }
  }
  return unreadable === undefined ? 'gone' : measurer.giveUnmeasured(unreadable.mapping.name, 'unreadable');
}

interface Door {
  readonly link: string;
  readonly stats: BigIntStats;
  /** A path that opens the content that is mapped. */
  readonly content: string;
}

/**
 * /proc/PID/map_files leads to the very file that is mapped, deleted or not, whatever the mount namespace; following it
 * takes CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE. Without: the path, if that is still the same inode, and the program
 * itself by /proc/PID/exe.
 */
function openDoor({ pid, mapping }: Use): Door | undefined {
  const direct = doorAt(`/proc/${pid}/map_files/${mapping.range}`);
  if (direct !== undefined) return direct;
  const exe = doorAt(`/proc/${pid}/exe`);
  if (exe !== undefined && exe.link === mapping.name) return exe;
  // Only UTF-8 names here: what is not cannot be told in a string path, and is counted as unreadable.
  const path = `/proc/${pid}/root${Buffer.from(mapping.name, 'latin1').toString()}`;
  const stats = statOf(path);
  if (stats === undefined || String(stats.ino) !== mapping.file.split(':')[2]) return undefined;
  return { link: mapping.name, stats, content: path };
}

function doorAt(content: string): Door | undefined {
  const stats = statOf(content);
  if (stats === undefined) return undefined;
  try {
    return { link: readlinkSync(content, 'latin1'), stats, content };
  } catch {
    return undefined;
  }
}

function statOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true });
  } catch {
    return undefined;
  }
}

/** False where the process ended, runs another program by now, or let go of the file: it was not unreadable then. */
function stillMaps({ pid, mapping }: Use): boolean {
  try {
    const now = parseMaps(readFileSync(`/proc/${pid}/maps`, 'latin1'));
    return now.some(
      ({ range, file, name }) => range === mapping.range && file === mapping.file && name === mapping.name,
    );
  } catch {
    return false;
  }
}

/** Where its link may not be followed: by what maps tells, as `placeOf` decides it. */
function isKernelMemory({ file, isShared, name }: Mapping): boolean {
  const [major = '', minor = ''] = file.split(':');
  const isMemfd = name.startsWith('/memfd:');
  return (isMemfd ? isShared : kernelMemoryDevices().has(deviceNumber(major, minor))) && name.endsWith(' (deleted)');
}

/** `st_dev` of a device in hex, as Linux packs it (include/linux/kdev_t.h:new_encode_dev). */
function deviceNumber(major: string, minor: string): bigint {
  const low = BigInt(`0x${minor}`);
  return (low & 0xffn) | (BigInt(`0x${major}`) << 8n) | ((low & ~0xffn) << 12n);
}

function named(pid: number): { pid: number; command: string } {
  try {
    return { pid, command: readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd() };
  } catch {
    return { pid, command: '?' };
  }
}
