/** The commands, by chapter of TPM 2.0 Part 3. */
export * from './commands/attestation.ts';
export * from './commands/duplication.ts';
export * from './commands/hierarchies.ts';
export * from './commands/management.ts';
export * from './commands/nv.ts';
export * from './commands/objects.ts';
export * from './commands/pcr.ts';
export * from './commands/policies.ts';
export * from './commands/primitives.ts';
export * from './commands/sessions.ts';
export * from './commands/startup.ts';
