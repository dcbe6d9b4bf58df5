/** All structures, by chapter of TPM 2.0 Part 2. */
export * from './attest.ts';
export * from './attributes.ts';
export * from './buffers.ts';
export * from './capability.ts';
export * from './constants.ts';
export * from './nv.ts';
export * from './pcr-selection.ts';
export * from './public-area.ts';
export * from './schemes.ts';
export * from './sensitive.ts';
export * from './signatures.ts';
