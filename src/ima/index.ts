/** IMA: measurement lists, their templates, and what they replay to. */
export type { EntrySpan, FileDigest, MeasurementEntry, TemplateFields } from './entry.ts';
export { ImaError, type ImaErrorCode } from './error.ts';
export { detectListForm, FORMAT_PROBE_SIZE, type ListForm } from './format.ts';
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
export { type TemplateFieldId, type TemplateLayout, templateLayout } from './template.ts';
