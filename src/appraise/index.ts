/** Labels and appraises file trees: walk, threads, journal, problems file by file. */

export type { FaultFound } from './bad-label.ts';
export {
  type AppraiseDirectoriesOptions,
  type AppraisedDirectories,
  appraiseDirectories,
  type BadDirectory,
  type DirectoryCause,
  type DirectoryEvm,
  directoryCauses,
  directoryCauseWords,
} from './directory/appraise-directories.ts';
export { type ClearDirectoriesOptions, clearDirectories } from './directory/clear-directories.ts';
export { type DirectoryKeys, directoryKeys } from './directory/directory-keys.ts';
export { FileDigests } from './directory/file-digests.ts';
export {
  beginsLikeSignedLabel,
  DIRECTORY_XATTR,
  parseDirectoryLabel,
  type TreeForm,
  UNKNOWN_TREE,
} from './directory/label.ts';
export {
  type LabelDirectoriesOptions,
  type LabelledDirectories,
  labelDirectories,
  rootFormOf,
} from './directory/label-directories.ts';
export { LABEL_FORMS, type LabelForm } from './directory/merkle.ts';
export { metadataWords } from './directory/metadata.ts';
export {
  readVouchedTree,
  type VouchedFault,
  type VouchedFile,
  type VouchedTree,
  type VouchedTreeOptions,
} from './directory/vouched-tree.ts';
export { AppraiseError, type AppraiseErrorCode } from './error.ts';
export { FileSystemUuids } from './evm-labeller.ts';
export { kernelLimitWords } from './fault-words.ts';
export { fileSystemMagic, fileSystemNames } from './file-systems.ts';
export {
  type AppraiseOptions,
  appraiseTree,
  type ClearOptions,
  clearTree,
  countTree,
  type LabelOptions,
  type LabelSummary,
  labelTree,
  MAX_JOBS,
} from './label.ts';
export { type FileToJudge, keyringOf, LabelJudge, type LabelJudgement } from './label-judge.ts';
export type { ExportSummary } from './portable/entry-writer.ts';
export { EXPORT_FORMATS, type ExportFormat, type ExportOptions, exportLabels } from './portable/export.ts';
export { importLabels } from './portable/import.ts';
export type { ImportChange, ImportOptions, ImportSummary } from './portable/import-run.ts';
export { type Problem, type ProblemCode, problemCodes, problemWords } from './problem.ts';
export type { AppraiseCause, BadFile, EvmLabelling, FileDetail, JudgeKeys, KeyFileBytes, LabelChange } from './task.ts';
export type { TreeCounts, TreeProgress, TreeRunOptions } from './tree-run.ts';
export type { OtherEntry, WalkCounts, WalkOptions } from './walk.ts';
