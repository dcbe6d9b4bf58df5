/** Combinators with which structures are declared. */
export * from './codec/codec.ts';
export * from './codec/integers.ts';
export * from './codec/profile.ts';
export * from './codec/sets.ts';
export * from './codec/sized.ts';
export * from './codec/structs.ts';
