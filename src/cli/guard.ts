/** `assay guard`: IMA's policy held at access time, where the kernel has no IMA. */
import type { Command } from 'commander';
import { registerGuardControl } from './guard-control.ts';
import { registerGuardRun } from './guard-run.ts';

export function register(program: Command): void {
  const guard = program
    .command('guard')
    .description('Hold an IMA policy at access time, where the kernel has no IMA: measure, appraise, audit');
  guard.addHelpText('after', '\nExample:\n  assay guard run --policy policy --watch /srv --mode log');
  registerGuardRun(guard);
  registerGuardControl(guard);
}
