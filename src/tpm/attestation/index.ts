export * from './attestation-key.ts';
export * from './new-key-quote.ts';
export * from './quote.ts';
export * from './signature.ts';
