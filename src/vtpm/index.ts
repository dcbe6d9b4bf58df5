/** Virtual TPMs: one in TypeScript, embedded, and the sockets that serve it; and the opening of any TPM by its address. */
export * from './open-tpm.ts';
export * from './serve/index.ts';
export * from './software/index.ts';
