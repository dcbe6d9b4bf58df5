/** Virtual TPMs: one in TypeScript, embedded, and the sockets that serve it; swtpm; the opening of any TPM by its address. */
export * from './error.ts';
export * from './open-tpm.ts';
export * from './serve/index.ts';
export * from './software/index.ts';
export * from './state-key.ts';
export * from './swtpm/index.ts';
