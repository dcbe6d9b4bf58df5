/** What `label` and `appraise` do with directories: `security.assay.dir`. */
import { dirname, relative, resolve, sep } from 'node:path';
import type { Command } from 'commander';
import {
  AppraiseError,
  appraiseDirectories,
  type BadDirectory,
  DIRECTORY_XATTR,
  type DirectoryKeys,
  directoryCauseWords,
  directoryKeys,
  type EvmLabelling,
  type FileDetail,
  FileDigests,
  LABEL_FORMS,
  type LabelForm,
  labelDirectories,
  rootFormOf,
  type TreeForm,
  UNKNOWN_TREE,
} from '../appraise/index.ts';
import { type DigestAlgorithm, ParseError, toHex } from '../bytes/index.ts';
import type { SignerSource } from '../digsig/index.ts';
import type { AppraiseKeys } from './appraise-keys.ts';
import { escapeControls, printJson, printLine } from './terminal.ts';
import { pathJson, pathText, reportProblem, type TreeCommandOptions } from './tree-options.ts';

export interface LabelDirectoriesFlags extends TreeCommandOptions {
  readonly directories?: true | LabelForm;
  readonly directoryMetadata?: boolean;
  readonly rootPath?: string;
  readonly treeVersion?: bigint;
  readonly journal?: string;
  readonly dryRun?: boolean;
}

export function addLabelDirectoryOptions(command: Command): Command {
  return command
    .option('--directories [form]', 'label directories too: portable (default), or bound to inode numbers', parseForm)
    .option(
      '--directory-metadata',
      'with --directories: cover mode, owner, ACLs and security attributes of directories too',
    )
    .option('--root-path <path>', "with --directories: what the tree's top is called where it will be used")
    .option(
      '--tree-version <n>',
      "with --directories: the tree's version (left out: a later one each time)",
      parseVersion,
    );
}

function parseForm(text: string): LabelForm {
  const form = LABEL_FORMS.find((one) => one === text);
  if (form !== undefined) return form;
  throw new AppraiseError('appraise.option', `--directories ${text}: no such form`, {
    advice: `use ${LABEL_FORMS.join(' or ')}; a tree is named before --directories, or after another option`,
  });
}

export function parseVersion(text: string): bigint {
  if (/^\d{1,15}$/.test(text)) return BigInt(text);
  throw new AppraiseError('appraise.option', `'${text}' is no version`, {
    advice: 'give a whole number of at most 15 digits',
  });
}

/** What keeps others from writing a label of their own: a signature of it, or EVM over it. */
interface DirectoryProtection {
  readonly signer: SignerSource | undefined;
  readonly evm: EvmLabelling | undefined;
}

/** Only a kernel whose evm_xattrs holds the label's name has EVM cover it. */
const coversDirectories = (names: readonly string[] | undefined): boolean => names?.includes(DIRECTORY_XATTR) === true;

/** Collects the digests of a labelling run, and writes the directories' labels after it. */
export class DirectoryLabelling {
  readonly #tree: string;
  readonly #flags: LabelDirectoriesFlags;
  readonly #protection: DirectoryProtection;
  readonly #digests: FileDigests;

  /**
   * @returns undefined where directories are not to be labelled
   * @throws {AppraiseError} for options that a whole directory cannot be judged with
   */
  static of(
    tree: string,
    flags: LabelDirectoriesFlags,
    algorithm: DigestAlgorithm,
    protection: DirectoryProtection,
  ): DirectoryLabelling | undefined {
    if (flags.directories !== undefined) return new DirectoryLabelling(tree, flags, algorithm, protection);
    if (flags.directoryMetadata !== true) return undefined;
    throw new AppraiseError('appraise.option', '--directory-metadata is about directory labels', {
      advice: 'add --directories',
    });
  }

  private constructor(
    tree: string,
    flags: LabelDirectoriesFlags,
    algorithm: DigestAlgorithm,
    protection: DirectoryProtection,
  ) {
    refuseParts(tree, flags);
    this.#tree = tree;
    this.#flags = flags;
    this.#protection = protection;
    this.#digests = new FileDigests(algorithm);
  }

  took({ path, digest }: FileDetail): void {
    if (digest !== undefined) this.#digests.add(path, digest);
  }

  /** Sets the exit code 1 where a directory could not be labelled. */
  write(): void {
    const { directories, directoryMetadata, rootPath, treeVersion, xattrUser, dryRun, json } = this.#flags;
    const { signer, evm } = this.#protection;
    const isCovered = coversDirectories(evm?.extraXattrs);
    const result = labelDirectories(this.#tree, {
      digests: this.#digests,
      form: directories === undefined || directories === true ? 'portable' : directories,
      metadata: directoryMetadata === true,
      now: Date.now() / 1000,
      namespace: xattrUser === true ? 'user' : 'security',
      dryRun: dryRun === true,
      onProblem: (problem) => reportProblem(problem, json === true),
      ...(signer === undefined ? {} : { signer }),
      ...(isCovered && evm !== undefined ? { evm } : {}),
      ...(rootPath === undefined ? {} : { rootPath }),
      ...(treeVersion === undefined ? {} : { version: treeVersion }),
    });
    if (result.problems > 0) process.exitCode = 1;
    const { root } = result;
    if (json === true) {
      const top = root && { digest: toHex(root.digest), version: Number(root.version), path: root.path };
      printJson({ directories: result.directories, ...(top === undefined ? {} : { root: top }) });
      return;
    }
    const words = result.directories === 1 ? 'directory' : 'directories';
    printLine(
      `${result.directories} ${words} labelled${signer === undefined && !isCovered ? `, unprotected: neither --sign nor --evm with --evm-xattr ${DIRECTORY_XATTR}` : ''}`,
    );
    if (root !== undefined) printLine(`tree ${root.path}: version ${root.version}, ${toHex(root.digest)}`);
  }
}

function refuseParts(tree: string, { include, exclude, fs, journal }: LabelDirectoriesFlags): void {
  if (include !== undefined || exclude !== undefined || fs !== undefined) {
    throw new AppraiseError('appraise.option', '--directories covers every entry of a directory', {
      advice: 'leave --include, --exclude and --fs out, or label parts of the tree as trees of their own',
    });
  }
  if (journal === undefined) return;
  const path = relative(resolve(tree), dirname(resolve(journal)));
  if (path !== '..' && !path.startsWith(`..${sep}`)) {
    throw new AppraiseError(
      'appraise.option',
      `--journal ${journal}: changes the tree whose directories are labelled`,
      {
        advice: 'keep the journal outside of the tree',
      },
    );
  }
}

export interface AppraiseDirectoriesFlags extends TreeCommandOptions {
  readonly directories?: boolean;
  readonly leastVersion?: bigint;
  readonly rootPath?: string;
}

export function addAppraiseDirectoryOptions(command: Command): Command {
  refuseBoth(command, 'directories', 'no-directories');
  return command
    .option('--directories', 'a tree without directory labels does not do (left out: judged where the top has one)')
    .option('--no-directories', 'leave directory labels alone')
    .option('--least-version <n>', 'the version of the tree that you know: an older one is found', parseVersion)
    .option('--root-path <path>', 'what the tree was labelled as');
}

/** Of an option and its negation the last would win, silently. */
function refuseBoth(command: Command, ...names: readonly [string, string]): void {
  const given = new Set<string>();
  for (const name of names) {
    command.on(`option:${name}`, () => {
      if (given.add(name).size < names.length) return;
      throw new AppraiseError('appraise.option', `--${names.join(' and --')} say the opposite`, {
        advice: 'leave one of them out',
      });
    });
  }
}

/** Collects the digests of an appraisal, and judges the directories' labels after it. */
export class DirectoryAppraisal {
  readonly #tree: string;
  readonly #flags: AppraiseDirectoriesFlags;
  readonly #form: TreeForm;
  readonly #digests: FileDigests;
  readonly #keys: DirectoryKeys;

  /**
   * Whoever says what the root's label must hold asks for one: without it an attacker would only have to take it away.
   * @returns undefined where directories are not to be judged @throws {AppraiseError} @throws {DigsigError}
   */
  static of(tree: string, flags: AppraiseDirectoriesFlags, keys: AppraiseKeys): DirectoryAppraisal | undefined {
    const saysWhat = flags.leastVersion !== undefined || flags.rootPath !== undefined;
    if (flags.directories === false && saysWhat) {
      throw new AppraiseError('appraise.option', '--least-version and --root-path are about directory labels', {
        advice: 'leave --no-directories out',
      });
    }
    if (flags.directories === false) return undefined;
    const form = rootForm(tree, flags);
    if (form === 'none' && flags.directories !== true && !saysWhat) return undefined;
    return new DirectoryAppraisal(tree, flags, typeof form === 'string' ? UNKNOWN_TREE : form, keys);
  }

  private constructor(tree: string, flags: AppraiseDirectoriesFlags, form: TreeForm, keys: AppraiseKeys) {
    this.#tree = tree;
    this.#flags = flags;
    this.#form = form;
    this.#digests = new FileDigests(form.algorithm);
    this.#keys = directoryKeys(keys);
  }

  get algorithm(): DigestAlgorithm {
    return this.#digests.algorithm;
  }

  took({ path, digest }: FileDetail): void {
    if (digest !== undefined) this.#digests.add(path, digest);
  }

  /** Sets the exit code 1 where a label does not hold. */
  judge(): void {
    const { leastVersion, rootPath, xattrUser, json } = this.#flags;
    const result = appraiseDirectories(this.#tree, {
      digests: this.#digests,
      form: this.#form.form,
      coversMetadata: this.#form.coversMetadata,
      namespace: xattrUser === true ? 'user' : 'security',
      onBad: (bad) => printBad(bad, json === true),
      onProblem: (problem) => reportProblem(problem, json === true),
      ...this.#keys,
      ...(leastVersion === undefined ? {} : { leastVersion }),
      ...(rootPath === undefined ? {} : { rootPath }),
    });
    if (result.bad > 0 || result.problems > 0) process.exitCode = 1;
    const { directories, bad, version } = result;
    const isVerified = Object.keys(this.#keys).length > 0 && !result.isUnprotected;
    if (json === true) {
      printJson({ directories, bad, isVerified, ...(version === undefined ? {} : { version: Number(version) }) });
      return;
    }
    const told = bad === 0 ? `${directories} directories hold` : `${bad} findings in ${directories} directories`;
    printLine(`${told}${version === undefined ? '' : `, version ${version}`}`);
    if (!isVerified && bad === 0)
      printLine(
        'who labelled them is not verified (unprotected): label with --sign, appraise with --key; or let EVM cover them',
      );
  }
}

function rootForm(tree: string, { xattrUser }: TreeCommandOptions): TreeForm | 'none' | 'malformed' {
  try {
    return rootFormOf(tree, xattrUser === true ? 'user' : 'security') ?? 'none';
  } catch (error) {
    if (error instanceof ParseError) return 'malformed';
    throw error;
  }
}

function printBad({ path, cause, expected, found }: BadDirectory, asJson: boolean): void {
  process.exitCode = 1;
  if (asJson) {
    printJson({ ...pathJson(path), cause, expected, found });
    return;
  }
  const words = `${cause}: ${directoryCauseWords(cause)}: expected ${expected}, found ${found}`;
  printLine(escapeControls(`${pathText(path)}: ${words}`));
}
