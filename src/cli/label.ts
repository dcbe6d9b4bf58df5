/** `assay label`: labels of files, written, shown and taken away. */
import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import {
  AppraiseError,
  clearDirectories,
  clearTree,
  countTree,
  type EvmLabelling,
  type FileDetail,
  kernelLimitWords,
  type LabelOptions,
  type LabelSummary,
  labelTree,
  type Problem,
  type TreeProgress,
} from '../appraise/index.ts';
import { digestInfo, toHex } from '../bytes/index.ts';
import { parseKeyId, type SignerSource } from '../digsig/index.ts';
import { EVM_XATTR_HELP } from './appraise-keys.ts';
import { addLabelDirectoryOptions, DirectoryLabelling, type LabelDirectoriesFlags } from './directory-labels.ts';
import { registerExport } from './label-export.ts';
import { registerImport } from './label-import.ts';
import { registerShow } from './label-show.ts';
import { escapeControls, printJson, printLine } from './terminal.ts';
import {
  addTreeOptions,
  collect,
  pathJson,
  reportProblem,
  type TreeCommandOptions,
  TreeProgressLine,
  walkOptions,
} from './tree-options.ts';

interface LabelCommandOptions extends LabelDirectoriesFlags {
  readonly hash: string;
  readonly journal?: string;
  readonly dryRun?: boolean;
  readonly verbose?: boolean;
  readonly sign?: string;
  readonly verity?: boolean;
  readonly cert?: string;
  readonly keyid?: string;
  readonly passFile?: string;
  readonly evm?: 'hmac' | 'sign' | 'portable';
  readonly evmKey?: string;
  readonly evmCert?: string;
  readonly evmXattr?: readonly string[];
}

export function register(program: Command): void {
  const label = program
    .command('label')
    .description('Label files for IMA appraisal: the digest of each in its extended attributes')
    .argument('<tree>', 'folder or file')
    .option('--hash <algorithm>', 'digest algorithm', 'sha256')
    .option('--sign <key>', 'sign: private key in PEM or DER, or a pkcs11: URI')
    .option('--cert <file>', 'the certificate of that key, whose key id the signatures carry')
    .option('--keyid <hex>', 'the key id that the signatures carry, instead')
    .option(
      '--verity',
      'sign the digest that fs-verity gives, or will give with its defaults, as digest_type=verity wants',
    )
    .option('--pass-file <file>', 'first line: the passphrase of the keys, or the PIN of the token')
    .addOption(
      new Option('--evm <mode>', 'write security.evm too: HMAC, signature of this inode, or of any copy').choices([
        'hmac',
        'sign',
        'portable',
      ]),
    )
    .option(
      '--evm-key <file>',
      'for hmac: payload of the kernel’s evm-key; else a private key or pkcs11: URI (left out: that of --sign)',
    )
    .option('--evm-cert <file>', 'the certificate of --evm-key')
    .option('--evm-xattr <name>', EVM_XATTR_HELP, collect)
    .option('--journal <file>', 'remember in this file what is labelled: what did not change is not read again')
    .option('--dry-run', 'change nothing, say what would be')
    .option('--verbose', 'name each file that was labelled; with --json a line for each file')
    .option('--json', 'print a line {"path","problem"} for each file not done, and {"files","changes",…} last')
    .addHelpText('after', LABEL_HELP)
    .enablePositionalOptions()
    .action(runLabel);
  addLabelDirectoryOptions(addTreeOptions(label));
  registerShow(label);
  const clear = label
    .command('clear')
    .description('Take the labels of a tree away: security.ima and security.evm')
    .argument('<tree>', 'folder or file')
    .option('--dry-run', 'change nothing, say what would be')
    .option('--json', 'print a line {"path","problem"} for each file not done, and {"files","changes",…} last')
    .addHelpText('after', '\nExample:\n  assay label clear /srv/image/root --dry-run')
    .action(runClear);
  addTreeOptions(clear);
  registerExport(label);
  registerImport(label);
}

const LABEL_HELP = `
A file that cannot be labelled is named with its cause, and the rest is done; the exit code is then 1.
A kernel denies files whose digest it cannot compute: SHA-256 is always built in, others may be modules (collect_data failed).

A directory label covers what is in the directory: names, types, contents. Mode, owner, ACLs and security attributes of the
directories themselves are covered with --directory-metadata alone, or by EVM with --evm-xattr security.assay.dir; --evm
portable covers those of files. Label so with nothing mounted within the tree: an empty directory that has no label is told then.

Example:
  assay label /srv/image/root --one-file-system
  assay label /srv/image/root --sign key.pem --cert key.der --directories --root-path /
  assay label / --one-file-system --exclude 'var/log/**' --journal /var/lib/assay/labels --dry-run`;

async function runLabel(tree: string, options: LabelCommandOptions): Promise<void> {
  const { name: algorithm } = digestInfo(options.hash);
  const signer = signerSource(options);
  const evm = options.evm === undefined ? undefined : evmLabelling(options.evm, options, signer);
  const asked: LabelOptions = {
    ...walkOptions(options),
    algorithm,
    ...(signer === undefined ? {} : { signer }),
    verity: options.verity === true,
    ...(evm === undefined ? {} : { evm }),
    dryRun: options.dryRun === true,
    namespace: options.xattrUser === true ? 'user' : 'security',
    onLimit(limit) {
      process.stderr.write(`assay: these signatures will not verify: ${kernelLimitWords(limit)}\n`);
    },
    ...(options.jobs === undefined ? {} : { jobs: options.jobs }),
    ...(options.journal === undefined ? {} : { journal: options.journal }),
  };
  const directories = DirectoryLabelling.of(tree, options, algorithm, { signer, evm });
  const onFile = (file: FileDetail): void => {
    directories?.took(file);
    if (options.verbose === true) printFile(file, algorithm, options);
  };
  const hears = options.verbose === true || directories !== undefined ? { onFile } : {};
  const isWhole = await withReports(tree, options, (reports) => labelTree(tree, { ...asked, ...hears, ...reports }));
  if (isWhole) directories?.write();
}

/** @throws {DigsigError} for a key id that is none */
function signerSource({ sign, cert, keyid, passFile, evmKey, evmCert }: LabelCommandOptions): SignerSource | undefined {
  if (evmCert !== undefined && evmKey === undefined) {
    throw new AppraiseError('appraise.option', '--evm-cert is about a key', { advice: 'name it with --evm-key' });
  }
  if (sign !== undefined) return signerOf(sign, { cert, keyid, passFile });
  const about = evmKey === undefined ? [cert, keyid, passFile] : [cert, keyid];
  if (about.every((one) => one === undefined)) return undefined;
  throw new AppraiseError('appraise.option', '--cert, --keyid and --pass-file are about a key', {
    advice: 'name it with --sign',
  });
}

interface KeyNaming {
  readonly cert?: string | undefined;
  readonly keyid?: string | undefined;
  readonly passFile?: string | undefined;
}

/** @param key a file, or a pkcs11: URI */
function signerOf(key: string, { cert, keyid, passFile }: KeyNaming): SignerSource {
  const naming = {
    ...(cert === undefined ? {} : { certificate: readFileSync(cert) }),
    ...(keyid === undefined ? {} : { keyId: parseKeyId(keyid) }),
  };
  const secret = passFile === undefined ? undefined : (readFileSync(passFile, 'utf8').split('\n')[0] ?? '');
  if (key.startsWith('pkcs11:')) return { uri: key, ...naming, ...(secret === undefined ? {} : { pin: secret }) };
  return { key: readFileSync(key), source: key, ...naming, ...(secret === undefined ? {} : { passphrase: secret }) };
}

function evmLabelling(
  mode: 'hmac' | 'sign' | 'portable',
  options: LabelCommandOptions,
  signer: SignerSource | undefined,
): EvmLabelling {
  const { evmKey, evmCert, passFile, evmXattr } = options;
  const extra = evmXattr === undefined ? {} : { extraXattrs: evmXattr };
  if (mode === 'hmac' && evmKey !== undefined) return { mode, key: readFileSync(evmKey), ...extra };
  const own = evmKey === undefined ? signer : signerOf(evmKey, { cert: evmCert, passFile });
  if (mode !== 'hmac' && own !== undefined) return { mode, signer: own, ...extra };
  throw new AppraiseError('appraise.option', `--evm ${mode} needs a key`, { advice: 'name it with --evm-key' });
}

interface ClearCommandOptions extends TreeCommandOptions {
  readonly dryRun?: boolean;
}

async function runClear(tree: string, options: ClearCommandOptions): Promise<void> {
  const namespace = options.xattrUser === true ? 'user' : 'security';
  const attributes = [`${namespace}.ima`, `${namespace}.evm`];
  const jobs = options.jobs === undefined ? {} : { jobs: options.jobs };
  const asked = { ...walkOptions(options), ...jobs, attributes, dryRun: options.dryRun === true };
  await withReports(tree, options, (reports) => clearTree(tree, { ...asked, ...reports }));
  // --include names files: directories keep their labels then.
  const directories = options.include !== undefined ? 0 : clearDirectoriesOf(tree, namespace, options);
  if (options.json === true) printJson({ directories });
  else if (directories > 0)
    printLine(`${directories} directory labels ${options.dryRun === true ? 'to be ' : ''}taken away`);
}

function clearDirectoriesOf(tree: string, namespace: 'security' | 'user', options: ClearCommandOptions): number {
  return clearDirectories(tree, {
    ...walkOptions(options),
    namespace,
    dryRun: options.dryRun === true,
    onProblem: (problem) => {
      process.exitCode = 1;
      reportProblem(problem, options.json === true);
    },
  });
}

export interface Reports {
  readonly onProblem: (problem: Problem) => void;
  readonly onProgress?: (progress: TreeProgress) => void;
  readonly signal: AbortSignal;
}

/** Runs with progress on a terminal; the first SIGINT ends the run after the batches that are begun, the journal whole. Tells whether it went to the end. */
export async function withReports(
  tree: string,
  options: TreeCommandOptions & { readonly dryRun?: boolean },
  run: (reports: Reports) => Promise<LabelSummary>,
): Promise<boolean> {
  const stopped = new AbortController();
  const stop = (): void => stopped.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  const asJson = options.json === true;
  const line = process.stderr.isTTY === true ? new TreeProgressLine(countTree(tree, walkOptions(options))) : undefined;
  const summary = await run({
    signal: stopped.signal,
    onProblem: (problem) => {
      process.exitCode = 1;
      line?.done();
      reportProblem(problem, asJson);
    },
    ...(line === undefined ? {} : { onProgress: (progress: TreeProgress) => line.show(progress) }),
  });
  line?.done();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop);
  if (asJson) printJson(summary);
  else printSummary(summary, options.dryRun === true);
  if (!summary.finished || summary.problems > 0 || summary.changes.bad > 0) process.exitCode = 1;
  return summary.finished;
}

function printFile(file: FileDetail, algorithm: string, options: LabelCommandOptions): void {
  const { change, digest } = file;
  if (options.json === true) {
    const found = digest === undefined ? {} : { digest: `${algorithm}:${toHex(digest)}` };
    printJson({ ...pathJson(file.path), change, ...found });
    return;
  }
  const value = digest === undefined ? '' : `  ${algorithm}:${toHex(digest)}`;
  printLine(escapeControls(`${change}  ${pathJson(file.path).path}${value}`));
}

const CHANGE_WORDS = {
  added: 'labelled that had no label',
  replaced: 'labelled anew',
  same: 'had this label',
  unchanged: 'not read again, as the journal says',
  removed: 'unlabelled',
  none: 'had no label',
  good: 'with a label that holds',
  bad: 'with a label that does not hold',
} as const satisfies Readonly<Record<keyof LabelSummary['changes'], string>>;

function printSummary(summary: LabelSummary, dryRun: boolean): void {
  const parts = Object.entries(summary.changes)
    .filter(([, count]) => count > 0)
    .map(([change, count]) => `${count} ${CHANGE_WORDS[change as keyof typeof CHANGE_WORDS]}`);
  const { done, bytes, furtherLinks, symlinks, special, otherFileSystems, problems, finished } = summary;
  const left = [
    [furtherLinks, 'further names of the same files'],
    [symlinks, 'symbolic links'],
    [special, 'FIFOs, sockets and devices'],
    [otherFileSystems, 'folders and files on other file systems'],
  ].filter(([count]) => count !== 0);
  printLine(
    `${done} files, ${(bytes / 1e6).toFixed(1)} MB: ${parts.join(', ') || 'nothing to do'}${dryRun ? ' (dry run)' : ''}`,
  );
  if (left.length > 0) printLine(`left out: ${left.map((part) => part.join(' ')).join(', ')}`);
  if (problems > 0) printLine(`${problems} not done, each named above with its cause`);
  if (!finished) printLine('stopped before the end: run it again to go on');
}
