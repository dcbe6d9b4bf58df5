/** `assay label export`: the labels of a tree, in a file that travels. */
import type { Command } from 'commander';
import { EXPORT_FORMATS, type ExportFormat, type ExportSummary, exportLabels } from '../appraise/index.ts';
import { digestInfo } from '../bytes/index.ts';
import { untilStopped } from './signals.ts';
import { Progress, printJson } from './terminal.ts';
import { collect, reportProblem, type TreeCommandOptions, walkOptions } from './tree-options.ts';
import { UsageError } from './usage-error.ts';

interface ExportCommandOptions extends TreeCommandOptions {
  readonly output: string;
  readonly format: string;
  readonly hash: string;
  readonly bound?: boolean;
}

export function registerExport(label: Command): void {
  label
    .command('export')
    .description('Write the labels of a tree into a manifest, or the tree with its labels into a tar archive')
    .argument('<tree>', 'folder or file')
    .requiredOption('-o, --output <file>', 'file to write, `-` for standard output')
    .option('--format <format>', `one of ${EXPORT_FORMATS.join(', ')}`, 'manifest')
    .option('--hash <algorithm>', "digest by which a manifest knows the files' content", 'sha256')
    .option('--bound', 'also labels that hold for one inode alone: EVM HMACs, directory labels over inode numbers')
    .option('--one-file-system', 'do not cross mount points')
    .option('--include <glob>', 'only files whose path beneath the tree matches; may be repeated', collect)
    .option('--exclude <glob>', 'leave out files and folders whose path matches; may be repeated', collect)
    .option('--fs <type>', 'only on this type of file system, as ext4 or 0xef53; may be repeated', collect)
    .option('--xattr-user', "attributes of the user namespace, for trials without root: the kernel doesn't judge them")
    .option('--json', 'print a line {"path","problem"} for each file not done, and {"files",…} last')
    .addHelpText('after', EXPORT_HELP)
    .action(runExport);
}

const EXPORT_HELP = `
A manifest has a line of JSON for each file that bears a label: path, mode, owner, the digest of its content, labels. An
archive holds the files themselves, in the form of \`tar --xattrs\`, for GNU tar, bsdtar and \`assay label import\`.

Examples:
  assay label export /srv/image/root -o labels.jsonl
  assay label export /srv/image/root --format tar -o - | zstd > image.tar.zst`;

async function runExport(tree: string, options: ExportCommandOptions): Promise<void> {
  const { output, json } = options;
  if (json === true && output === '-') {
    throw new UsageError('--json and -o - both write to standard output', 'name a file with -o');
  }
  const progress = new Progress();
  const stopped = new AbortController();
  void untilStopped().then(() => stopped.abort());
  const summary = await exportLabels(tree, {
    ...walkOptions(options),
    output,
    format: formatOf(options.format),
    algorithm: digestInfo(options.hash).name,
    namespace: options.xattrUser === true ? 'user' : 'security',
    bound: options.bound === true,
    signal: stopped.signal,
    onProblem: (problem) => {
      progress.done();
      reportProblem(problem, json === true);
    },
    onProgress: ({ files, bytes }) => progress.step(`${files} files, ${(bytes / 1e6).toFixed(0)} MB`),
  });
  progress.done();
  if (json === true) printJson(summary);
  else process.stderr.write(summaryText(summary, options.format));
  if (summary.problems > 0 || !summary.finished) process.exitCode = 1;
}

function formatOf(text: string): ExportFormat {
  const format = EXPORT_FORMATS.find((one) => one === text);
  if (format !== undefined) return format;
  throw new UsageError(`format '${text}' is not known`, `use one of ${EXPORT_FORMATS.join(', ')}`);
}

/** On stderr: the export itself may go to standard output. */
function summaryText(summary: ExportSummary, format: string): string {
  const { files, directories, bytes, unlabelled, symlinks, special, problems, finished } = summary;
  const links = format === 'tar' ? `, ${symlinks} symbolic links` : '';
  const bare = format === 'tar' ? `${unlabelled} of them without a label` : `${unlabelled} without a label left out`;
  const lines = [`${files} files and ${directories} folders${links}, ${(bytes / 1e6).toFixed(1)} MB; ${bare}`];
  if (special > 0) lines.push(`left out: ${special} FIFOs, sockets and devices`);
  if (problems > 0) lines.push(`${problems} not done, each named above with its cause`);
  if (!finished) lines.push('stopped before the end: nothing was written');
  return `${lines.join('\n')}\n`;
}
