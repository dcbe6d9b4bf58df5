/** A TPM 2.0 in TypeScript. It is no protection: keys are in the memory of a process. */
export { type CertificateAuthority, certificateAuthority } from './certificate-authority.ts';
export { authorityFolderOf, type EmbeddedOptions, EmbeddedTpm, inProcessTransport } from './embedded-tpm.ts';
export { endorse } from './endorsement.ts';
export { RSA_KEY_BITS } from './limits.ts';
export { type ManufacturedSoftware, manufactureSoftware, type SoftwareManufacture } from './manufacture.ts';
export { type PoweredOptions, PoweredTpm } from './powered-tpm.ts';
export { type ManufactureOptions, SoftwareTpm } from './software-tpm.ts';
export { StateFolder, type StateFolderOptions, type StateStore, statesIn } from './state-folder.ts';
export { memoryStore } from './state-memory.ts';
export { tpmInfo } from './tpm-info.ts';
