/** Files as tpm2-tools 5.4 write and read them. */
export * from './credential-file.ts';
export * from './pcr-selection-text.ts';
export * from './pcr-values.ts';
export * from './public-file.ts';
