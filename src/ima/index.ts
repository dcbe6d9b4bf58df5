/**
 * IMA: measurement lists, their templates, and what they replay to; `security.ima` and its appraisal; what it tells the audit
 * log (`audit/`).
 */
export {
  type AppendedJudge,
  type AppraiseType,
  appraiseIma,
  type ImaAppraisal,
  type ImaCause,
  type ImaFault,
  type ImaResult,
  type ImaStatus,
} from './appraise.ts';
export * from './audit/index.ts';
export {
  BOOT_AGGREGATE,
  type BootAggregateCheck,
  type BootAggregateVerdict,
  bootAggregate,
  checkBootAggregate,
} from './boot-aggregate.ts';
export { checkList, type ListCheck, listHolds, type PcrCheck } from './check.ts';
export type { EntrySpan, FileDigest, MeasurementEntry, TemplateFields } from './entry.ts';
export { ImaError, type ImaErrorCode } from './error.ts';
export { decodeFields } from './fields.ts';
export { detectListForm, FORMAT_PROBE_SIZE, type ListForm } from './format.ts';
export { decodePath, encodePath } from './path.ts';
export { parsePcrText } from './pcr-text.ts';
export { entryAt, ListReader, parseMeasurementList, StreamedReplay } from './reader.ts';
export { ListReplay, parseBanks } from './replay.ts';
export {
  EMPTY_REPLAY,
  type OnEntry,
  type PcrTarget,
  type PcrValues,
  type ReplayOptions,
  type ReplayState,
  type RunOptions,
  type RunResult,
} from './replay-state.ts';
export { EntryScanner, templateData } from './scan.ts';
export {
  encodeImaDigest,
  encodeImaSignature,
  IMA_TYPE,
  IMA_XATTR,
  type ImaLabel,
  imaHashAlgorithm,
  parseImaXattr,
} from './security-ima.ts';
export { type TemplateFieldId, type TemplateLayout, templateLayout } from './template.ts';
export {
  digestField,
  type EncodedEntry,
  encodeEntry,
  encodeImaNgEntry,
  imaNgTemplateData,
  pathField,
} from './write.ts';
