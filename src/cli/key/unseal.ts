/** `assay key unseal`: what a key protects, where the machine is in the right state. */
import { writeSync } from 'node:fs';
import type { Command } from 'commander';
import { toHex } from '../../bytes/index.ts';
import { decryptKey, openProtectedKey } from '../../keys/index.ts';
import { printJson } from '../terminal.ts';
import { addTpmOptions, type TpmOptions } from '../with-tpm.ts';
import { type KeyFile, readKeyFile } from './key-file.ts';
import { MASTER_FILE_HELP, masterPayload, unsealedFrom } from './master.ts';
import { addOpenOptions, openFlagsOf, type PlainOpenFlags } from './open-options.ts';
import { addOpenerOptions, openersFor } from './protector-options.ts';

const HELP = `
The payload is written as it is, to standard output; where the key does not open there is nothing, and the exit code is 1.

Example:
  assay key unseal kmk.blob | keyctl padd user kmk @u
  assay key unseal evm.key --master-file kmk.payload > evm.payload
  assay key unseal disk.key --recovery prompt > payload`;

export interface UnsealFlags extends TpmOptions, PlainOpenFlags {
  readonly password?: string;
  readonly recovery?: string;
  readonly tokenPin?: string;
  readonly masterFile?: string;
}

export function registerUnseal(key: Command): void {
  const unseal = key
    .command('unseal')
    .description('Write the payload of a trusted, encrypted or protected key to standard output')
    .argument('<file>', 'the key; - is standard input')
    .option('--master-file <file>', MASTER_FILE_HELP)
    .option('--json', 'print {"kind","payload"}, the payload in hexadecimal');
  addOpenOptions(addOpenerOptions(addTpmOptions(unseal), ''), { pcrs: '--pcrs', pin: '--pin' })
    .addHelpText('after', HELP)
    .action(runUnseal);
}

async function runUnseal(path: string, flags: UnsealFlags): Promise<void> {
  const file = readKeyFile(path);
  const payload = await payloadOf(path, file, flags);
  if (flags.json === true) printJson({ kind: file.kind, payload: toHex(payload) });
  else writeWhole(payload);
}

/** @returns a secret */
export async function payloadOf(path: string, file: KeyFile, flags: UnsealFlags): Promise<Uint8Array> {
  const opening = openerFlags(flags);
  if (file.kind === 'encrypted') return decryptKey(file.key, await masterPayload(file.key.master, opening));
  if (file.kind === 'protected') return (await openProtectedKey(file.key, await openersFor(opening))).payload;
  return unsealedFrom(path, file.blob, opening);
}

function openerFlags({ password, recovery, tokenPin, ...others }: UnsealFlags) {
  return {
    ...openFlagsOf(others),
    ...(password === undefined ? {} : { openPassword: password }),
    ...(recovery === undefined ? {} : { openRecovery: recovery }),
    ...(tokenPin === undefined ? {} : { openTokenPin: tokenPin }),
  };
}

export function writeWhole(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}
