/** What agent, server and verifier exchange. */
export * from './protocol.ts';
export * from './refusals.ts';
export * from './types.ts';
