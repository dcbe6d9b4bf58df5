/** What agent, server and verifier exchange. */
export * from './codec.ts';
export { EvidenceError, type EvidenceErrorCode } from './error.ts';
export * from './protocol.ts';
export * from './refusals.ts';
export * from './types.ts';
export * from './unmeasured.ts';
