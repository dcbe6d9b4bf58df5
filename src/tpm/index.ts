/** TPM 2.0: structures and commands declared once, for a client and for a software TPM alike. */
export * from './attestation/index.ts';
export * from './codec.ts';
export * from './command.ts';
export * from './command-table.ts';
export * from './commands.ts';
export * from './credential.ts';
export * from './crypto/kdf.ts';
export * from './endorsement/index.ts';
export * from './errors.ts';
export * from './frame.ts';
export * from './names.ts';
export * from './public-key.ts';
export * from './response-codes.ts';
export * from './secret-sharing.ts';
export * from './structures.ts';
export * from './tools-files/index.ts';
