export type { BootComponent, BootVariant, EventDigests } from './components.ts';
export { type BootDifference, judgeComponents } from './judge.ts';
export { mergeBoots } from './merge.ts';
