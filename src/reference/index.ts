/** Reference values: manifests and their compiled form. */
export * from './boot/index.ts';
export { CompiledReference, compileReference } from './compile.ts';
export * from './dpkg/index.ts';
export { ManifestError, type ManifestErrorCode } from './error.ts';
export { referenceFromList } from './from-list.ts';
export { asListed, isExactPath, literalPattern, type PathMatcher, pathMatcher } from './glob.ts';
export type { FileJudgement } from './judgement.ts';
export {
  canonicalManifest,
  checkManifest,
  MAX_MANIFEST_BYTES,
  manifestId,
  parseBootReference,
  parseManifest,
} from './manifest.ts';
export { hasLeadingKey, leadingKey, type MeasuredFile, measuredFile } from './measured-file.ts';
export { imaNgData, templateKey } from './template-key.ts';
export { TemplateKeySet } from './template-key-set.ts';
export * from './types.ts';
