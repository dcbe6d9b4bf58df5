export * from './attestation-key.ts';
export * from './quote.ts';
export * from './signature.ts';
