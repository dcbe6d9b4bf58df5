/** `assay vtpm`: virtual TPMs. */
import type { Command } from 'commander';
import { registerManufacture } from './vtpm/manufacture.ts';
import { registerServe } from './vtpm/serve.ts';
import { registerSocket } from './vtpm/socket.ts';

export function register(program: Command): void {
  const vtpm = program.command('vtpm').description('Virtual TPMs: a software TPM on a socket');
  vtpm.addHelpText('after', '\nExample:\n  assay vtpm serve --unix /run/user/0/vtpm --state ./vtpm-state');
  registerServe(vtpm);
  registerSocket(vtpm);
  registerManufacture(vtpm);
}
