/** `assay key load` and `key kernel-load`: a key into the TPM, to see that it opens, and into the kernel's keyring. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { encodeEncryptedKey, encodeTrustedBlob, KeyError, parseTrustedOptions } from '../../keys/index.ts';
import { SPECIAL_KEYRINGS } from '../../sys/index.ts';
import { SECRET_FORMS } from '../secret-source.ts';
import { escapeControls, printJson, printLine } from '../terminal.ts';
import { addTpmOptions } from '../with-tpm.ts';
import { withSecrets } from './create.ts';
import { addAsEncrypted, addToKeyring } from './kernel-keyring.ts';
import { type KeyFile, readKeyFile } from './key-file.ts';
import { MASTER_FILE_HELP } from './master.ts';
import { addOpenOptions } from './open-options.ts';
import { addOpenerOptions } from './protector-options.ts';
import { payloadOf, type UnsealFlags } from './unseal.ts';

const KERNEL_HELP = `
A trusted key is handed to the kernel as it is, which unseals it itself; an encrypted one likewise, its master key must be
in a keyring already. A protected key is opened here, and becomes a user key, or with --as encrypted a key as EVM wants it,
under a master key that is forgotten.

The kernel's options of a trusted key stand at the end, as NAME=VALUE: keyhandle for the older form, policyhandle, pcrlock,
and keyauth and blobauth, whose values are read from ${SECRET_FORMS}.

Example:
  assay key kernel-load kmk.blob --name kmk
  assay key kernel-load kmk.blob --name kmk blobauth=file:/root/auth
  assay key kernel-load /etc/assay/evm.key --as encrypted --name evm-key --password prompt`;

interface KernelFlags extends UnsealFlags {
  readonly name: string;
  readonly keyring: number;
  readonly as?: 'user' | 'encrypted';
}

export function registerLoad(key: Command): void {
  const load = key
    .command('load')
    .description('Try whether a key opens now, and show nothing of it')
    .argument('<file>', 'the key')
    .option('--master-file <file>', MASTER_FILE_HELP)
    .option('--json', 'print {"kind","bytes"}');
  addOpenOptions(addOpenerOptions(addTpmOptions(load), ''), { pcrs: '--pcrs', pin: '--pin' })
    .addHelpText('after', '\nExample:\n  assay key load kmk.blob')
    .action(runLoad);
  const kernel = key
    .command('kernel-load')
    .description("Load a key into the kernel's keyring")
    .argument('<file>', 'the key')
    .argument('[options...]', "the kernel's options of a trusted key, as NAME=VALUE")
    .requiredOption('--name <name>', 'its name there')
    .addOption(
      new Option('--keyring <ring>', '@u, @s, @p or a number')
        .argParser(parseKeyring)
        .default(SPECIAL_KEYRINGS.get('@u') ?? 0, '@u'),
    )
    .addOption(new Option('--as <type>', 'what a protected key becomes (default: user)').choices(['user', 'encrypted']))
    .option('--pin <source>', `open a protected key with its PIN: ${SECRET_FORMS}`)
    .option('--json', 'print {"serial","type","name"}');
  addOpenerOptions(addTpmOptions(kernel), '').addHelpText('after', KERNEL_HELP).action(runKernelLoad);
}

function parseKeyring(text: string): number {
  const serial = SPECIAL_KEYRINGS.get(text) ?? (/^\d{1,10}$/.test(text) ? Number(text) : undefined);
  if (serial !== undefined) return serial;
  throw new InvalidArgumentError(`${[...SPECIAL_KEYRINGS.keys()].join(', ')} or a keyring's serial number.`);
}

async function runLoad(path: string, flags: UnsealFlags): Promise<void> {
  const file = readKeyFile(path);
  const { length } = await payloadOf(path, file, flags);
  if (flags.json === true) printJson({ kind: file.kind, bytes: length });
  else printLine(`${escapeControls(path)}: a ${file.kind} key of ${length} bytes, and it opens`);
}

async function runKernelLoad(path: string, options: readonly string[], flags: KernelFlags): Promise<void> {
  const file = readKeyFile(path);
  const { name, keyring } = flags;
  if (file.kind !== 'trusted' && options.length > 0)
    throw new KeyError('key.option', `${path} is no trusted key: the kernel takes no options for it`);
  if (file.kind !== 'protected' && flags.as !== undefined)
    throw new KeyError(
      'key.option',
      `--as is about a protected key, and ${path} is loaded as the ${file.kind} key it is`,
    );
  const words = await withSecrets(options);
  parseTrustedOptions(words);
  const type = file.kind === 'protected' ? (flags.as ?? 'user') : file.kind;
  const serial = add(type, await keyPayload(path, file, words, flags));
  if (flags.json === true) printJson({ serial, type, name });
  else printLine(`key ${serial}: ${type}:${escapeControls(name)}`);

  function add(as: string, payload: Uint8Array): number {
    if (file.kind === 'protected' && as === 'encrypted') return addAsEncrypted(name, payload, keyring);
    return addToKeyring(as, name, payload, keyring);
  }
}

async function keyPayload(
  path: string,
  file: KeyFile,
  words: readonly string[],
  flags: KernelFlags,
): Promise<Uint8Array> {
  if (file.kind === 'trusted')
    return Buffer.from(['load', encodeTrustedBlob(file.blob).toString('hex'), ...words].join(' '));
  if (file.kind === 'encrypted') return Buffer.from(`load ${encodeEncryptedKey(file.key)}`);
  return payloadOf(path, file, flags);
}
