/** A TPM 2.0 in TypeScript. It is no protection: keys are in the memory of a process. */
export { type CertificateAuthority, certificateAuthority } from './certificate-authority.ts';
export { authorityFolderOf, type EmbeddedOptions, EmbeddedTpm, inProcessTransport } from './embedded-tpm.ts';
export { endorse } from './endorsement.ts';
export { type ManufactureOptions, SoftwareTpm } from './software-tpm.ts';
