/** `assay key export`: a trusted key in another form. */
import type { Command } from 'commander';
import { Option } from 'commander';
import {
  encodeTrustedBlob,
  KeyError,
  policyOf,
  sealTrustedKey,
  type TrustedBlob,
  unsealTrustedKey,
} from '../../keys/index.ts';
import { printJson, printLine } from '../terminal.ts';
import { addTpmOptions, type TpmOptions, withTpm } from '../with-tpm.ts';
import { readKeyFile, readPolicies } from './key-file.ts';
import { isStandardOutput } from './key-output.ts';
import {
  addOpenOptions,
  type OpenFlags,
  openFlagsOf,
  openRequest,
  type PlainOpenFlags,
  readOpenSecrets,
} from './open-options.ts';
import { hashOf } from './reseal.ts';
import { refuseExisting, writeTrustedKey } from './write-key.ts';

const FORMS = ['asn1', 'legacy', 'pem'] as const;

const HELP = `
Between asn1 and pem nothing changes but the writing. The older form is sealed otherwise: there the key must open now, and
is sealed anew to the same policy and authorization. Its storage key is named by --keyhandle.

Example:
  assay key export kmk.blob --form pem -o kmk.pem
  assay key export kmk.blob --form legacy -o kmk.old`;

interface Flags extends TpmOptions, PlainOpenFlags {
  readonly form: (typeof FORMS)[number];
  readonly output?: string;
}

export function registerExport(key: Command): void {
  const exported = key
    .command('export')
    .description('Write a trusted key in another form')
    .argument('<file>', 'the key')
    .addOption(
      new Option('--form <form>', "asn1: the kernel's; legacy: that of kernels before 5.13; pem: TSS2 PRIVATE KEY")
        .choices(FORMS)
        .default('asn1'),
    )
    .option('-o, --output <file>', 'write it here, and not to standard output')
    .option('--json', 'print {"form","key"}');
  addOpenOptions(addTpmOptions(exported), { pcrs: '--pcrs', pin: '--pin' })
    .addHelpText('after', HELP)
    .action(runExport);
}

async function runExport(path: string, flags: Flags): Promise<void> {
  const { form, json } = flags;
  const output = flags.output === undefined || isStandardOutput(flags.output) ? undefined : flags.output;
  const file = readKeyFile(path);
  if (file.kind !== 'trusted') throw new KeyError('key.option', `${path} is no trusted key, and has one form`);
  if (output !== undefined) refuseExisting(output);
  const blob = await inForm(form === 'legacy' ? 'legacy' : 'asn1', path, file.blob, openFlagsOf(flags));
  const text = textIn(form, blob);
  if (output !== undefined) await writeTrustedKey(output, blob, policyOf(blob, readPolicies(path)), text);
  if (json === true) printJson({ form, key: text });
  else if (output === undefined) printLine(text.trimEnd());
}

/** What is sealed in one form is not what is sealed in the other: the TPM opens it and seals it anew, to the same. */
async function inForm(
  form: TrustedBlob['form'],
  path: string,
  blob: TrustedBlob,
  flags: TpmOptions & OpenFlags,
): Promise<TrustedBlob> {
  if (blob.form === form) return { ...blob, parent: flags.keyhandle ?? blob.parent };
  const secrets = await readOpenSecrets(flags);
  return withTpm({ ...flags, json: true }, async ({ tpm }) => {
    const request = await openRequest(tpm, blob, readPolicies(path), flags, secrets);
    const { payload, migratable } = await unsealTrustedKey(tpm, blob, request);
    return sealTrustedKey(tpm, {
      payload,
      form,
      parent: request.parent ?? blob.parent ?? 0,
      migratable,
      hash: hashOf(blob.area.nameAlg),
      ...(request.keyAuth === undefined ? {} : { keyAuth: request.keyAuth }),
      ...(request.blobAuth === undefined ? {} : { blobAuth: request.blobAuth }),
      ...(blob.area.authPolicy.length === 0 ? {} : { policyDigest: blob.area.authPolicy }),
    });
  });
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
