/** `assay key`: trusted and encrypted keys. */
import type { Command } from 'commander';
import { forbidDumps, isNativeAvailable } from '../sys/index.ts';
import { registerCreate } from './key/create.ts';
import { registerEvmSetup } from './key/evm-setup.ts';
import { registerExport } from './key/export.ts';
import { registerLoad } from './key/kernel-load.ts';
import { registerProtector } from './key/protector.ts';
import { registerRecover } from './key/recover.ts';
import { registerReseal } from './key/reseal.ts';
import { registerShow } from './key/show.ts';
import { registerUnseal } from './key/unseal.ts';

export function register(program: Command): void {
  const key = program.command('key').description('Trusted and encrypted keys: secrets of a machine in the right state');
  key.addHelpText(
    'after',
    '\nExample:\n  assay key create trusted --keyhandle 0x81000001 --pcrs sha256:0,7 -o kmk.blob',
  );
  key.hook('preAction', hideSecrets);
  registerCreate(key);
  registerUnseal(key);
  registerReseal(key);
  registerShow(key);
  registerExport(key);
  registerLoad(key);
  registerRecover(key);
  registerProtector(key);
  registerEvmSetup(key);
}

/** What these commands have in memory is in no core dump, where system calls can be made at all. */
function hideSecrets(): void {
  if (isNativeAvailable()) forbidDumps();
}
