/** Ground of the house: bounded reading and writing, digests, errors with a place. */
export * from './digest.ts';
export * from './equal.ts';
export * from './error.ts';
export * from './hex.ts';
export * from './reader.ts';
export * from './text.ts';
export * from './writer.ts';
