/** A TPM 2.0 in TypeScript. It is no protection: keys are in the memory of a process. */
export { type ManufactureOptions, SoftwareTpm } from './software-tpm.ts';
