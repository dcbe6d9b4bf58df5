export * from './certificate.ts';
export * from './endorsement-key.ts';
export * from './templates.ts';
