/** What agent, server and verifier exchange. */
export * from './types.ts';
