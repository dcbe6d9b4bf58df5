/** Reference values: manifests and their compiled form. */
export * from './types.ts';
