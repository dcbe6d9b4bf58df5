export * from './quote.ts';
export * from './signature.ts';
