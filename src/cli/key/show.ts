/** `assay key show`: what a key's file says of itself, without opening it. */
import type { Command } from 'commander';
import { toHex } from '../../bytes/index.ts';
import { policyOf } from '../../keys/index.ts';
import type { Policy } from '../../tpm/index.ts';
import { escapeControls, formatTable, printJson, printLine } from '../terminal.ts';
import { type KeyFile, readKeyFile, readPolicies } from './key-file.ts';

export function registerShow(key: Command): void {
  key
    .command('show')
    .description('Say what a key is and what it was sealed to, without opening it')
    .argument('<file>', 'the key')
    .option('--json', 'print {"kind",…}')
    .addHelpText('after', '\nExample:\n  assay key show kmk.blob')
    .action(runShow);
}

function runShow(path: string, { json }: { readonly json?: boolean }): void {
  const shown = describe(path, readKeyFile(path));
  if (json === true) printJson(Object.fromEntries(shown));
  else printLine(formatTable([...shown].map(([name, value]) => [name, escapeControls(String(value ?? '-'))])));
}

function describe(path: string, file: KeyFile): Map<string, unknown> {
  if (file.kind === 'encrypted') {
    const { format, master, size } = file.key;
    return new Map<string, unknown>([
      ['kind', 'encrypted'],
      ['format', format ?? null],
      ['master', master],
      ['bytes', size],
    ]);
  }
  const { blob } = file;
  const { authPolicy, nameAlg, objectAttributes } = blob.area;
  const policy = policyOf(blob, readPolicies(path));
  return new Map<string, unknown>([
    ['kind', 'trusted'],
    ['form', blob.form],
    ['keyhandle', blob.parent === undefined ? null : `0x${blob.parent.toString(16)}`],
    ['hash', nameAlg],
    ['migratable', objectAttributes.fixedTPM !== true && objectAttributes.fixedParent !== true],
    ['authorization', blob.emptyAuth ? 'none' : 'a value or PIN'],
    ['policydigest', authPolicy.length === 0 ? null : toHex(authPolicy)],
    ['sealedTo', policy === undefined ? null : policy.map(words).join(' and ')],
  ]);
}

function words(step: Policy[number]): string {
  switch (step.kind) {
    case 'pcr':
      return `PCR ${step.values.map(({ bank, pcr }) => `${bank}:${pcr}`).join(', ')}`;
    case 'or':
      return `one of: ${step.branches.map((branch) => branch.map(words).join(' and ')).join('; ')}`;
    case 'authorize':
      return 'a policy that its key signs';
    case 'auth-value':
      return 'a PIN';
  }
}
