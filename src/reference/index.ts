/** Reference values: manifests and their compiled form. */
export * from './dpkg/index.ts';
export * from './types.ts';
