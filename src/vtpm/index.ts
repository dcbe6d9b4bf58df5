/** Virtual TPMs, and the opening of any TPM by its address. */
export * from './open-tpm.ts';
