/** Gives the files that a manifest names its labels, where they have the content that it says. */
import { ParseError } from '../../bytes/index.ts';
import { closeFile, type FileDigester, FileStatus, fileDigester, openBeneath, SysError } from '../../sys/index.ts';
import { FileProblem } from '../problem.ts';
import { StableReader } from '../stable-reader.ts';
import type { EntryImport, ImportChange, ImportRun } from './import-run.ts';
import type { Input } from './input.ts';
import { type LabelRecord, type Line, type ManifestHeader, parseHeader, parseLine } from './record.ts';
import { treePath, withNul } from './tree-path.ts';

export class ManifestImport implements EntryImport {
  readonly #run: ImportRun;
  readonly #input: Input;
  readonly #header: ManifestHeader;
  readonly #digester: FileDigester;
  readonly #before = new FileStatus();
  readonly #after = new FileStatus();
  #lines = 1;

  /** @throws {ParseError} */
  constructor(run: ImportRun, input: Input) {
    this.#run = run;
    this.#input = input;
    const first = input.line(1);
    if (first === undefined) throw new ParseError('parse.truncated', 'manifest', 0, 'is empty');
    this.#header = parseHeader(first);
    this.#digester = fileDigester(this.#header.hash);
  }

  next(): boolean {
    const line = this.#input.line(this.#lines + 1);
    if (line === undefined)
      throw this.#wrong('parse.truncated', 'has no last line that counts the others: it is cut short');
    const record = parseLine(line, this.#header.hash);
    if ('records' in record) {
      this.#checkEnd(line, record.records);
      return false;
    }
    this.#lines += 1;
    this.#run.entry(record.path, () => this.#one(record));
    return true;
  }

  #checkEnd(line: Line, records: number): void {
    const found = this.#lines - 1;
    if (records !== found)
      throw this.#wrong('parse.invalid', `says ${records} records in its last line and has ${found}`);
    if (this.#input.line(line.number + 1) !== undefined) {
      throw this.#wrong('parse.trailing', 'goes on after the line that ends it');
    }
  }

  #wrong(code: 'parse.truncated' | 'parse.invalid' | 'parse.trailing', detail: string): ParseError {
    return new ParseError(code, 'manifest', this.#input.offset, detail);
  }

  #one(record: LabelRecord): ImportChange {
    const path = withNul(treePath(record.path).bytes);
    const isFolder = record.content === undefined;
    const fd = this.#open(path, isFolder);
    try {
      if (this.#before.ofOpen(fd).type !== (isFolder ? 'directory' : 'file')) throw new FileProblem('other-type');
      if (record.content !== undefined) this.#checkContent(fd, path, record.content);
      return this.#run.apply(fd, record);
    } finally {
      closeFile(fd);
    }
  }

  #open(path: Buffer, directory: boolean): number {
    try {
      return openBeneath(this.#run.root, path, { directory });
    } catch (error) {
      if (error instanceof SysError && error.errno === 'ENOENT') throw new FileProblem('missing');
      if (error instanceof SysError && error.errno === 'ENOTDIR') throw new FileProblem('other-type');
      throw error;
    }
  }

  #checkContent(fd: number, path: Buffer, { size, digest }: NonNullable<LabelRecord['content']>): void {
    if (this.#before.size !== size) throw new FileProblem('other-content');
    const reader = new StableReader({ root: this.#run.root, oneFileSystem: false }, this.#before, this.#after);
    if (!reader.digest(fd, path, this.#digester).equals(digest)) throw new FileProblem('other-content');
    this.#run.summary.bytes += size;
  }

  end(): void {}
}
