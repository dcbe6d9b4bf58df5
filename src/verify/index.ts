/** The verifier: a pure function from evidence, reference and state to a verdict that explains itself. */
export * from './findings.ts';
export * from './types.ts';
