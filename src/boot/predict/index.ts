/** Boots before they happen: PCR values from the files on disk. */
export { appendedVariable } from './appended-variable.ts';
export type { GrubEntry } from './grub.ts';
export type { GrubDisk } from './grub-disk.ts';
export { type BootFile, type Measurement, measurementDigest } from './measurement.ts';
export { type SignedPolicies, sealingPolicy, signPolicies } from './policies.ts';
export { type BootDescription, type Prediction, predictBoot, predictEntries, predictUki } from './predict.ts';
export { imageSigners } from './secure-boot.ts';
export { DEFAULT_PHASES } from './uki.ts';
export { type BootWay, isStubCompanion, STUB_FOLDER_OF_IMAGE, STUB_FOLDERS } from './ways.ts';
