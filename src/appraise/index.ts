/** Labels and appraises file trees: walk, threads, journal, problems file by file. */
export { AppraiseError, type AppraiseErrorCode } from './error.ts';
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
export { type Problem, type ProblemCode, problemCodes, problemWords } from './problem.ts';
export type { AppraiseCause, BadFile, FileDetail, KeyFileBytes, LabelChange } from './task.ts';
export type { TreeCounts, TreeProgress, TreeRunOptions } from './tree-run.ts';
export type { OtherEntry, WalkCounts, WalkOptions } from './walk.ts';
