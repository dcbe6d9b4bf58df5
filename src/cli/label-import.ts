/** `assay label import`: gives a tree the labels of an export. */
import type { Command } from 'commander';
import { type ImportChange, type ImportSummary, importLabels } from '../appraise/index.ts';
import { openInput } from './read-input.ts';
import { untilStopped } from './signals.ts';
import { escapeControls, Progress, printJson, printLine } from './terminal.ts';
import { pathJson, pathText, reportProblem } from './tree-options.ts';

interface ImportCommandOptions {
  readonly dryRun?: boolean;
  readonly verify?: boolean;
  readonly metadata?: boolean;
  readonly bound?: boolean;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

export function registerImport(label: Command): void {
  label
    .command('import')
    .description(
      'Give a tree the labels of a manifest or tar archive, where the content is that which they were made for',
    )
    .argument('<file>', 'manifest or tar archive, `-` for standard input')
    .argument('<tree>', 'folder')
    .option('--dry-run', 'change nothing, say what would be')
    .option('--verify', 'change nothing; name what does not bear these labels')
    .option('--metadata', 'set mode, owner and capability too, of what is there')
    .option('--bound', 'also labels that hold for one inode alone, for a tree on a copy of its very disk')
    .option('--verbose', 'name each entry; with --json a line for each')
    .option('--json', 'print a line {"path","problem"} for each entry not done, and {"entries","changes",…} last')
    .addHelpText('after', IMPORT_HELP)
    .action(runImport);
}

const IMPORT_HELP = `
A manifest labels files that are there. From an archive, files, folders and links that are missing are made. Nothing that
is there is overwritten: other content is a problem of that file, and the rest is done. It can be stopped and run again.

Examples:
  assay label import labels.jsonl /srv/image/root --dry-run
  zstd -dc image.tar.zst | assay label import - /mnt`;

async function runImport(file: string, tree: string, options: ImportCommandOptions): Promise<void> {
  const asJson = options.json === true;
  const progress = new Progress();
  const stopped = new AbortController();
  void untilStopped().then(() => stopped.abort());
  const input = openInput(file);
  let done = 0;
  try {
    const summary = await importLabels(input.fd, tree, {
      dryRun: options.dryRun === true,
      verify: options.verify === true,
      metadata: options.metadata === true,
      bound: options.bound === true,
      signal: stopped.signal,
      onProblem: (problem) => {
        progress.done();
        reportProblem(problem, asJson);
      },
      onProgress: ({ entries, bytes }) => progress.step(`${entries} entries, ${(bytes / 1e6).toFixed(0)} MB`),
      onEntry: ({ path, change }) => {
        done += 1;
        if (options.verbose === true) printEntry(path, change, asJson);
      },
    });
    progress.done();
    if (asJson) printJson(summary);
    else printSummary(summary, options);
    if (summary.problems > 0 || !summary.finished) process.exitCode = 1;
  } catch (error) {
    progress.done();
    if (!asJson) process.stderr.write(accountBefore(done, options));
    throw error;
  } finally {
    input.close();
  }
}

/** What came before the damage that ends an import. */
const accountBefore = (done: number, { dryRun, verify }: ImportCommandOptions): string =>
  dryRun === true || verify === true
    ? `${done} entries were looked at before what follows, and nothing was changed\n`
    : `${done} entries were done before what follows, and stay: an import can be run again\n`;

function printEntry(path: Uint8Array, change: ImportChange, asJson: boolean): void {
  if (asJson) printJson({ ...pathJson(path), change });
  else printLine(escapeControls(`${change}  ${pathText(path)}`));
}

const CHANGE_WORDS = {
  created: 'made that were missing',
  added: 'labelled that had no label',
  replaced: 'labelled anew',
  same: 'as they should be',
} as const satisfies Readonly<Record<ImportChange, string>>;

function printSummary(summary: ImportSummary, { dryRun }: ImportCommandOptions): void {
  const { entries, bytes, changes, special, bound, problems, finished } = summary;
  const parts = Object.entries(CHANGE_WORDS)
    .map(([change, words]) => [changes[change as ImportChange], words] as const)
    .filter(([count]) => count > 0)
    .map((part) => part.join(' '));
  const dry = dryRun === true ? ' (dry run)' : '';
  printLine(`${entries} entries, ${(bytes / 1e6).toFixed(1)} MB: ${parts.join(', ') || 'nothing to do'}${dry}`);
  if (special > 0) printLine(`left out: ${special} FIFOs and devices`);
  if (bound > 0) printLine(`left out: ${bound} labels that hold for another inode alone`);
  if (problems > 0) printLine(`${problems} not done, each named above with its cause`);
  if (!finished) printLine('stopped before the end: run it again to go on');
}
