/** `assay appraise`: judges labels of files. */
import type { Command } from 'commander';
import { AppraiseError, type AppraiseOptions, appraiseTree, type BadFile, type FileDetail } from '../appraise/index.ts';
import { type AppraiseKeyFlags, addKeyOptions, appraiseKeys } from './appraise-keys.ts';
import { type AppraiseDirectoriesFlags, addAppraiseDirectoryOptions, DirectoryAppraisal } from './directory-labels.ts';
import { withReports } from './label.ts';
import { escapeControls, printJson, printLine } from './terminal.ts';
import { addTreeOptions, pathJson, pathText, walkOptions } from './tree-options.ts';

interface AppraiseCommandOptions extends AppraiseDirectoriesFlags, AppraiseKeyFlags {
  readonly requireSignature?: boolean;
  readonly modsig?: boolean;
  readonly verity?: boolean;
}

export function register(program: Command): void {
  const appraise = program
    .command('appraise')
    .description('Judge the labels of files as the kernel would: security.ima, digests and signatures')
    .argument('<tree>', 'folder or file')
    .option('--require-signature', 'digests do not do, as with appraise_type=imasig')
    .option('--modsig', 'the same, but an appended signature does too, as with appraise_type=imasig|modsig')
    .option('--verity', 'signatures of what fs-verity gives, as with digest_type=verity appraise_type=sigv3')
    .option(
      '--json',
      'print a line {"path","cause","expected","found","fault"} for each bad file, and {"files","changes",…} last',
    )
    .addHelpText('after', HELP)
    .action(run);
  addAppraiseDirectoryOptions(addTreeOptions(addKeyOptions(appraise)));
}

const HELP = `
Each file whose label does not hold is a line: path, the kernel's word for the cause, expected and found. The exit code is
then 1, as where a file could not be judged. The kernel has one word for every signature that does not verify, also for one
by a blacklisted key: what was found tells them apart. It asks for blacklisted hashes only where a rule wants
signatures, and looks for appended signatures at modules, kernels and initramfs images alone.
Where the tree's top has a directory label (label --directories), directories are judged too: a file that was renamed,
swapped, deleted, added, moved or changed is named with what happened to it.

Example:
  assay appraise /usr --one-file-system --key /etc/keys/x509_ima.der --require-signature
  assay appraise /lib/modules --keyring /etc/keys/ima --modsig --blacklist revoked.der
  assay appraise /srv/image/root --key key.der --directories --least-version 7`;

async function run(tree: string, options: AppraiseCommandOptions): Promise<void> {
  const keys = appraiseKeys(options);
  const asked: AppraiseOptions = {
    ...walkOptions(options),
    ...keys,
    type: typeOf(options),
    namespace: options.xattrUser === true ? 'user' : 'security',
    ...(options.jobs === undefined ? {} : { jobs: options.jobs }),
  };
  const onBad = (file: BadFile): void => {
    // At once: whoever reads may close the pipe after the first line.
    process.exitCode = 1;
    printBad(file, options.json === true);
  };
  const directories = DirectoryAppraisal.of(tree, options, keys);
  const hears =
    directories === undefined
      ? {}
      : { digestsIn: directories.algorithm, onFile: (file: FileDetail) => directories.took(file) };
  const isWhole = await withReports(tree, options, (reports) =>
    appraiseTree(tree, { ...asked, ...hears, ...reports, onBad }),
  );
  if (isWhole) directories?.judge();
}

function typeOf({ requireSignature, modsig, verity }: AppraiseCommandOptions): NonNullable<AppraiseOptions['type']> {
  if (verity === true && (modsig === true || requireSignature === true)) {
    throw new AppraiseError('appraise.option', '--verity beside another kind of signature', {
      advice: 'a rule of the kernel asks for one: appraise the tree once for each',
    });
  }
  if (verity === true) return 'sigv3';
  if (modsig === true) return 'imasig|modsig';
  return requireSignature === true ? 'imasig' : 'hash';
}

function printBad({ path, cause, expected, found, fault }: BadFile, asJson: boolean): void {
  if (asJson) printJson({ ...pathJson(path), cause, expected, found, ...(fault === undefined ? {} : { fault }) });
  else printLine(escapeControls(`${pathText(path)}: ${cause}: expected ${expected}, found ${found}`));
}
