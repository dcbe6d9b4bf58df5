export { changesFromReference, comparableBank } from './changes.ts';
export {
  type BootComponent,
  type BootVariant,
  componentPcrs,
  type EventDigests,
  type EventReference,
  hasComponentsIn,
} from './components.ts';
export { imageNames } from './image-names.ts';
export { type BootDifference, judgeComponents } from './judge.ts';
export { BootMerger, mergeBoots } from './merge.ts';
export { predictedEvents } from './predicted.ts';
export { excusingQuirk, type FirmwareIdentity, QUIRKS, type Quirk, type QuirkEffect, quirksOf } from './quirks.ts';
export type { ImageNames } from './variant-names.ts';
