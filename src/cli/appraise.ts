/** `assay appraise`: judges labels of files. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import {
  AppraiseError,
  type AppraiseOptions,
  appraiseTree,
  type BadFile,
  type FileDetail,
  type KeyFileBytes,
} from '../appraise/index.ts';
import { DigsigError, readPublicKeys } from '../digsig/index.ts';
import { EVM_KEY_SIZE } from '../evm/index.ts';
import { type AppraiseDirectoriesFlags, addAppraiseDirectoryOptions, DirectoryAppraisal } from './directory-labels.ts';
import { withReports } from './label.ts';
import { escapeControls, printJson, printLine } from './terminal.ts';
import { addTreeOptions, collect, pathJson, pathText, walkOptions } from './tree-options.ts';

interface AppraiseCommandOptions extends AppraiseDirectoriesFlags {
  readonly key?: readonly string[];
  readonly keyring?: string;
  readonly evmKey?: readonly string[];
  readonly requireSignature?: boolean;
}

export function register(program: Command): void {
  const appraise = program
    .command('appraise')
    .description('Judge the labels of files as the kernel would: security.ima, digests and signatures')
    .argument('<tree>', 'folder or file')
    .option('--key <file>', 'certificate or public key that signatures verify by; may be repeated', collect)
    .option('--keyring <folder>', 'every certificate and public key in this folder')
    .option(
      '--evm-key <file>',
      'judge security.evm too: by this certificate, or this payload of evm-key; may be repeated',
      collect,
    )
    .option('--require-signature', 'digests do not do, as with appraise_type=imasig')
    .option(
      '--json',
      'print a line {"path","cause","expected","found"} for each bad file, and {"files","changes",…} last',
    )
    .addHelpText('after', HELP)
    .action(run);
  addAppraiseDirectoryOptions(addTreeOptions(appraise));
}

const HELP = `
Each file whose label does not hold is a line: path, the kernel's word for the cause, expected and found. The exit code is
then 1, as where a file could not be judged. Where the tree's top has a directory label (label --directories), directories
are judged too: a file that was renamed, swapped, deleted, added, moved or changed is named with what happened to it.

Example:
  assay appraise /usr --one-file-system --key /etc/keys/x509_ima.der --require-signature
  assay appraise /srv/image/root --key key.der --directories --least-version 7`;

async function run(tree: string, options: AppraiseCommandOptions): Promise<void> {
  const keys = [...(options.key ?? []), ...filesOf(options.keyring)].map(
    (source): KeyFileBytes => ({ bytes: readFileSync(source), source }),
  );
  const asked = {
    ...walkOptions(options),
    keys,
    ...evmKeysOf(options.evmKey ?? []),
    requireSignature: options.requireSignature === true,
    namespace: options.xattrUser === true ? ('user' as const) : ('security' as const),
    ...(options.jobs === undefined ? {} : { jobs: options.jobs }),
  };
  const onBad = (file: BadFile): void => printBad(file, options.json === true);
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

/** Certificates and public keys, and one HMAC key: what is no key in PEM or DER. */
function evmKeysOf(files: readonly string[]): Pick<AppraiseOptions, 'evmKeys' | 'evmHmacKey'> {
  const read = files.map((source): KeyFileBytes => ({ bytes: readFileSync(source), source }));
  const payloads = read.filter((file) => file.bytes.length <= EVM_KEY_SIZE && !isPublicKey(file));
  const [payload, another] = payloads;
  if (another !== undefined) {
    throw new AppraiseError('appraise.option', `${another.source}: a second HMAC key`, {
      advice: 'the kernel has one',
    });
  }
  const evmKeys = read.filter((file) => !payloads.includes(file));
  return { evmKeys, ...(payload === undefined ? {} : { evmHmacKey: payload.bytes }) };
}

function isPublicKey({ bytes, source }: KeyFileBytes): boolean {
  try {
    return readPublicKeys(bytes, { source }).length > 0;
  } catch (error) {
    if (error instanceof DigsigError) return false;
    throw error;
  }
}

function filesOf(folder: string | undefined): string[] {
  if (folder === undefined) return [];
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(folder, entry.name));
}

function printBad({ path, cause, expected, found }: BadFile, asJson: boolean): void {
  if (asJson) printJson({ ...pathJson(path), cause, expected, found });
  else printLine(escapeControls(`${pathText(path)}: ${cause}: expected ${expected}, found ${found}`));
}
