/** What `label` and `appraise` share: options of a tree's walk, progress, and lines about files. */
import type { Command } from 'commander';
import {
  AppraiseError,
  fileSystemMagic,
  fileSystemNames,
  MAX_JOBS,
  type Problem,
  problemWords,
  type TreeProgress,
  type WalkOptions,
} from '../appraise/index.ts';
import { escapeControls, Progress, printJson } from './terminal.ts';

export interface TreeCommandOptions {
  readonly jobs?: number;
  readonly oneFileSystem?: boolean;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly fs?: readonly string[];
  readonly xattrUser?: boolean;
  readonly json?: boolean;
}

/** Of an option that may be repeated. */
export const collect = (value: string, before: readonly string[] = []): string[] => [...before, value];

export function addTreeOptions(command: Command): Command {
  return command
    .option('--jobs <n>', 'threads (left out: one a core)', parseJobs)
    .option('--one-file-system', 'do not cross mount points')
    .option('--include <glob>', 'only files whose path beneath the tree matches; may be repeated', collect)
    .option('--exclude <glob>', 'leave out files and folders whose path matches; may be repeated', collect)
    .option('--fs <type>', 'only on this type of file system, as ext4 or 0xef53; may be repeated', collect)
    .option('--xattr-user', "attributes of the user namespace, for trials without root: the kernel doesn't judge them");
}

function parseJobs(text: string): number {
  const jobs = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (jobs >= 1 && jobs <= MAX_JOBS) return jobs;
  throw new AppraiseError('appraise.option', `'${text}' is no number of threads`, {
    advice: `give a whole number from 1 to ${MAX_JOBS}`,
  });
}

export function walkOptions({ oneFileSystem, include, exclude, fs }: TreeCommandOptions): WalkOptions {
  return {
    oneFileSystem: oneFileSystem === true,
    ...(include === undefined ? {} : { include }),
    ...(exclude === undefined ? {} : { exclude }),
    ...(fs === undefined ? {} : { fileSystems: new Set(fs.map(magicOf)) }),
  };
}

function magicOf(name: string): number {
  const magic = fileSystemMagic(name);
  if (magic !== undefined) return magic;
  throw new AppraiseError('appraise.option', `file system '${name}' is not known`, {
    advice: `use one of ${fileSystemNames().join(', ')}, or its magic number in hexadecimal`,
  });
}

export const pathText = (path: Uint8Array): string => Buffer.from(path).toString() || '.';

/** A JSON string cannot hold every name: the bytes themselves come too where the text is not they. */
export function pathJson(path: Uint8Array): { path: string; pathHex?: string } {
  const text = pathText(path);
  const isWhole = path.length === 0 || Buffer.from(text).equals(path);
  return { path: text, ...(isWhole ? {} : { pathHex: Buffer.from(path).toString('hex') }) };
}

/** Each problem as it comes: a line on stderr, or a JSON line. */
export function reportProblem(problem: Problem, asJson: boolean): void {
  const { code, errno } = problem;
  if (asJson) printJson({ ...pathJson(problem.path), problem: code, ...(errno === undefined ? {} : { errno }) });
  const reason = errno === undefined ? '' : ` (${errno})`;
  if (!asJson) {
    process.stderr.write(`${escapeControls(pathText(problem.path))}: ${problemWords(code)} [${code}]${reason}\n`);
  }
}

const SHOWN_EVERY_MS = 200;

/** Files, bytes, rate and time left, on a terminal. */
export class TreeProgressLine {
  readonly #line = new Progress();
  readonly #total: number;
  readonly #began = performance.now();
  #shown = 0;

  /** @param total files of the whole tree */
  constructor(total: number) {
    this.#total = total;
  }

  show({ files, bytes }: TreeProgress): void {
    const now = performance.now();
    if (now - this.#shown < SHOWN_EVERY_MS) return;
    this.#shown = now;
    const seconds = (now - this.#began) / 1000;
    const left = files === 0 ? '' : `, ${timeText(((this.#total - files) * seconds) / files)} left`;
    const rate = `${Math.round(files / seconds)} files/s, ${(bytes / 1e6 / seconds).toFixed(0)} MB/s`;
    this.#line.step(`${files} of ${this.#total} files, ${(bytes / 1e6).toFixed(0)} MB, ${rate}${left}`);
  }

  done(): void {
    this.#line.done();
  }
}

function timeText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
