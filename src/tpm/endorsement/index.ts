export * from './certificate.ts';
export * from './templates.ts';
