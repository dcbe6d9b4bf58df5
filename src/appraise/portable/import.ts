/**
 * Gives a tree the labels that an export holds. A label is only given to the content that it was made for. A manifest
 * touches what is there; from an archive, what is missing is made too. Nothing that is there is ever overwritten, so that
 * an import can be stopped and begun anew.
 */
import { AppraiseError } from '../error.ts';
import { TreeRoot } from '../tree-run.ts';
import { ArchiveImport } from './import-archive.ts';
import { ManifestImport } from './import-manifest.ts';
import { type ImportOptions, ImportRun, type ImportSummary } from './import-run.ts';
import { Input } from './input.ts';
import { ArchiveReader } from './tar/archive-reader.ts';
import { BLOCK } from './tar/header.ts';

/**
 * @param fd the export: a file or a pipe, read from where it stands
 * @param tree a folder
 * @throws {AppraiseError} root, options, and what is neither manifest nor archive
 * @throws {ParseError} where the export is damaged or cut short; what came before stands
 */
export async function importLabels(fd: number, tree: string, options: ImportOptions = {}): Promise<ImportSummary> {
  const root = new TreeRoot(tree);
  try {
    if (root.only !== undefined) {
      throw new AppraiseError('appraise.option', `${tree} is a file`, { advice: 'name the folder of the tree' });
    }
    const input = new Input(fd);
    const format = formatOf(input);
    const run = new ImportRun(root.fd, format, options);
    const entries =
      format === 'manifest' ? new ManifestImport(run, input) : new ArchiveImport(run, new ArchiveReader(input));
    return await run.whole(entries);
  } finally {
    root.close();
  }
}

/** By the first bytes: text that begins an object, or a tar header with its magic. */
function formatOf(input: Input): 'manifest' | 'tar' {
  const start = input.peek(BLOCK);
  if (start[0] === 0x7b && !start.includes(0)) return 'manifest';
  if (start.length === BLOCK && start.toString('latin1', 257, 262) === 'ustar') return 'tar';
  throw new AppraiseError('appraise.not-portable', 'this is neither a manifest of labels nor a tar archive', {
    advice: isCompressed(start) ? 'decompress it first: zstd -dc FILE | assay label import - TREE' : 'see --help',
  });
}

/** gzip, zstd, xz, bzip2. */
function isCompressed(start: Buffer): boolean {
  return ['1f8b', '28b52ffd', 'fd377a585a00', '425a68'].some((magic) => start.toString('hex').startsWith(magic));
}
