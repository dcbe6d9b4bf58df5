export * from './certificate.ts';
export type { CertificateExtensions } from './certificate-extensions.ts';
export type { ChainCheck } from './chain.ts';
export type { DistinguishedName } from './distinguished-name.ts';
export * from './endorsement-key.ts';
export type { NewCertificate } from './issue-certificate.ts';
export * from './templates.ts';

/** What makes certificates, loaded when it is asked for. */
export const certificateIssuer = () => import('./issue-certificate.ts');

/** What checks chains of certificates, loaded when it is asked for. */
export const endorsementChains = () => import('./chain.ts');
