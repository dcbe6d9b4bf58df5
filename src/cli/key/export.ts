/** `assay key export`: a trusted key in another form. */
import type { Command } from 'commander';
import { Option } from 'commander';
import { encodeTrustedBlob, KeyError, type TrustedBlob } from '../../keys/index.ts';
import { replaceFile } from '../../sys/index.ts';
import { printJson, printLine } from '../terminal.ts';
import { handleArgument } from './handle.ts';
import { readKeyFile, refuseExisting } from './key-file.ts';

const FORMS = ['asn1', 'legacy', 'pem'] as const;

interface Flags {
  readonly form: (typeof FORMS)[number];
  readonly keyhandle?: number;
  readonly output?: string;
  readonly json?: boolean;
}

export function registerExport(key: Command): void {
  key
    .command('export')
    .description('Write a trusted key in another form; it stays sealed')
    .argument('<file>', 'the key')
    .addOption(
      new Option('--form <form>', "asn1: the kernel's; legacy: that of kernels before 5.13; pem: TSS2 PRIVATE KEY")
        .choices(FORMS)
        .default('asn1'),
    )
    .option('--keyhandle <handle>', 'handle of the storage key, which the older form does not hold', handleArgument)
    .option('-o, --output <file>', 'write it here, and not to standard output')
    .option('--json', 'print {"form","key"}')
    .addHelpText('after', '\nExample:\n  assay key export kmk.blob --form pem -o kmk.pem')
    .action(runExport);
}

async function runExport(path: string, { form, keyhandle, output, json }: Flags): Promise<void> {
  const file = readKeyFile(path);
  if (file.kind !== 'trusted') throw new KeyError('key.option', `${path} is no trusted key, and has one form`);
  if (output !== undefined) refuseExisting(output);
  const text = textIn(form, { ...file.blob, parent: keyhandle ?? file.blob.parent });
  if (output !== undefined) await replaceFile(output, text);
  if (json === true) printJson({ form, key: text });
  else if (output === undefined) printLine(text.trimEnd());
}

function textIn(form: Flags['form'], blob: TrustedBlob): string {
  if (form === 'legacy') return encodeTrustedBlob({ ...blob, form: 'legacy' }).toString('hex');
  if (blob.parent === undefined) {
    throw new KeyError('key.option', 'the key does not say under which key it is sealed', {
      advice: 'name it with --keyhandle',
    });
  }
  const der = encodeTrustedBlob({ ...blob, form: 'asn1' });
  if (form === 'asn1') return der.toString('hex');
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN TSS2 PRIVATE KEY-----\n${lines.join('\n')}\n-----END TSS2 PRIVATE KEY-----\n`;
}
