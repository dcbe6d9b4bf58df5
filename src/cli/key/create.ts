/** `assay key create trusted|encrypted`. */
import { randomBytes } from 'node:crypto';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { toHex } from '../../bytes/index.ts';
import {
  ENCRYPTED_FORMATS,
  type EncryptedFormat,
  encodeEncryptedKey,
  encodeProtectedKey,
  encryptKey,
  KeyError,
  lockPcr,
  newPayload,
  parseMasterName,
  parseTrustedOptions,
  type SealRequest,
  sealTrustedKey,
  type TrustedBlob,
  type TrustedOptions,
} from '../../keys/index.ts';
import type { Policy } from '../../tpm/index.ts';
import { readInput } from '../read-input.ts';
import { readPassword, SECRET_FORMS } from '../secret-source.ts';
import { escapeControls } from '../terminal.ts';
import { addTpmOptions, demonstrationField, type TpmOptions, withTpm } from '../with-tpm.ts';
import { registerCreateStorage } from './create-storage.ts';
import { handleArgument } from './handle.ts';
import { isStandardOutput, OUTPUT_HELP, placeOf, tellMade } from './key-output.ts';
import { MASTER_FILE_HELP, masterPayload } from './master.ts';
import { addOpenOptions, openFlagsOf, type PlainOpenFlags } from './open-options.ts';
import { readNewPin } from './pin.ts';
import { addPolicyOptions, type PolicyFlags, policyFor } from './policy-options.ts';
import { addedFields, addedLines } from './protector.ts';
import { addProtectorOptions, newProtectors, type ProtectorFlags } from './protector-options.ts';
import { refuseExisting, textOf, writeNewFile, writeTrustedKey } from './write-key.ts';

const TRUSTED_HELP = `
The blob is what \`keyctl pipe\` would give, for \`keyctl add trusted NAME "load $(cat FILE)" @u\`. What it was sealed to is
kept beside it, in FILE.policy, which holds no secret. With -o - the key alone goes to standard output, and nothing is kept.

The kernel's options stand at the end, as NAME=VALUE: keyhandle, hash, migratable, policydigest, pcrlock, and keyauth and
blobauth, whose values are read from ${SECRET_FORMS}. Without
migratable= the key is fixed to this TPM (migratable=0; the kernel alone takes 1 then, and seals only such keys anew).

Example:
  assay key create trusted --keyhandle 0x81000001 --pcrs sha256:0,7 -o kmk.blob
  assay key create trusted --keyhandle 0x81000001 -o kmk.blob hash=sha384 blobauth=file:/root/auth`;

const ENCRYPTED_HELP = `
The line is what \`keyctl pipe\` would give, for \`keyctl add encrypted NAME "load $(cat FILE)" @u\`. The options after the
TPM's are about a trusted master key, whose blob --master-file names.

Example:
  assay key create encrypted --master user:kmk --master-file kmk.payload --bytes 64 -o evm.key`;

interface TrustedFlags extends TpmOptions, PolicyFlags {
  readonly keyhandle?: number;
  readonly bytes?: number;
  readonly payloadFile?: string;
  readonly form: TrustedBlob['form'];
  readonly output: string;
}

interface EncryptedFlags extends TpmOptions, PlainOpenFlags {
  readonly master: string;
  readonly masterFile?: string;
  readonly format: EncryptedFormat;
  readonly bytes?: number;
  readonly payloadFile?: string;
  readonly output: string;
}

const DEFAULT_TRUSTED_BYTES = 32;
const MAX_PAYLOAD = 4096;

export function registerCreate(key: Command): void {
  const create = key.command('create').description('Make a key');
  create.addHelpText('after', '\nExample:\n  assay key create trusted --keyhandle 0x81000001 -o kmk.blob');
  registerCreateStorage(create);
  const trusted = create
    .command('trusted')
    .description('Seal a key under a storage key of the TPM, to a state of the machine')
    .argument('[options...]', "the kernel's options, as NAME=VALUE")
    .option(
      '--keyhandle <handle>',
      'handle of the storage key, as 0x81000001; needed, here or as keyhandle=',
      handleArgument,
    )
    .option('--bytes <n>', `so many random bytes of the TPM, 32…128 (default: ${DEFAULT_TRUSTED_BYTES})`, parseCount)
    .option('--payload-file <file>', 'seal what is in this file instead; - is standard input')
    .addOption(
      new Option('--form <form>', "asn1: the kernel's; legacy: that of kernels before 5.13, which hold 127 bytes")
        .choices(['asn1', 'legacy'])
        .default('asn1'),
    )
    .requiredOption('-o, --output <file>', OUTPUT_HELP)
    .option('--json', 'print {"output","bytes","keyhandle","hash","policy"}, with -o - also "key"');
  addPolicyOptions(addTpmOptions(trusted)).addHelpText('after', TRUSTED_HELP).action(createTrusted);
  const encrypted = create
    .command('encrypted')
    .description('Encrypt a key under a master key, with the processor alone')
    .requiredOption('--master <name>', 'user:NAME or trusted:NAME, as the kernel shall know the master key')
    .option('--master-file <file>', MASTER_FILE_HELP)
    .addOption(
      new Option('--format <format>', 'what the kernel makes of it').choices(ENCRYPTED_FORMATS).default('default'),
    )
    .option('--bytes <n>', 'so many random bytes (default: 64; with enc32 32)', parseCount)
    .option('--payload-file <file>', 'encrypt what is in this file instead; - is standard input')
    .requiredOption('-o, --output <file>', OUTPUT_HELP)
    .option('--json', 'print {"output","bytes","format","master"}, with -o - also "key"');
  addOpenOptions(addTpmOptions(encrypted), { pcrs: '--pcrs', pin: '--pin' })
    .addHelpText('after', ENCRYPTED_HELP)
    .action(createEncrypted);
  const guarded = create
    .command('protected')
    .description('Make a key that several protectors open: TPM, password, removable device, token, recovery code')
    .option('--bytes <n>', 'so many random bytes (default: 64)', parseCount)
    .option('--payload-file <file>', 'protect what is in this file instead; - is standard input')
    .requiredOption('-o, --output <file>', OUTPUT_HELP)
    .option('--json', 'print {"added":[…],"recoveryCode"}, with -o - also "key"');
  addProtectorOptions(addTpmOptions(guarded)).addHelpText('after', PROTECTED_HELP).action(createProtected);
}

const PROTECTED_HELP = `
Each protector opens the key alone. The file holds, for each, the key as one of the kernel's encrypted keys.

Example:
  assay key create protected --seal --pcrs sha256:0,7 --recovery -o disk.key
  assay key create protected --password prompt --usb /media/stick/assay.key -o disk.key`;

interface ProtectedFlags extends ProtectorFlags {
  readonly bytes?: number;
  readonly payloadFile?: string;
  readonly output: string;
}

async function createProtected(flags: ProtectedFlags): Promise<void> {
  refuseExisting(flags.output);
  const payload = payloadOf(flags) ?? randomBytes(flags.bytes ?? DEFAULT_BYTES.default);
  const { protectors, code } = await newProtectors(payload, flags);
  const key = encodeProtectedKey({ size: payload.length, protectors });
  await writeNewFile(flags.output, key);
  tellMade(flags, { key, fields: addedFields(protectors, code), lines: addedLines(protectors, code) });
}

function parseCount(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= MAX_PAYLOAD) return count;
  throw new InvalidArgumentError(`a number from 1 to ${MAX_PAYLOAD} is needed.`);
}

async function createTrusted(words: readonly string[], flags: TrustedFlags): Promise<void> {
  refuseExisting(flags.output);
  const options = await trustedOptions(words);
  const parent = flags.keyhandle ?? options.keyhandle;
  if (parent === undefined) {
    throw new KeyError('key.option', 'under which storage key the key is sealed is missing', {
      advice: 'name it: --keyhandle 0x81000001',
    });
  }
  refuseContradictions(flags, options);
  const given = payloadOf(flags);
  const pin = flags.pin === undefined ? undefined : await readNewPin(flags.pin);
  await withTpm(flags, async (opened) => {
    const { tpm } = opened;
    const policy = await policyFor(tpm, flags);
    refuseUnkept(flags, policy);
    const payload = given ?? (await newPayload(tpm, flags.bytes ?? DEFAULT_TRUSTED_BYTES));
    const request: SealRequest = {
      payload,
      parent,
      form: flags.form,
      ...(policy === undefined ? {} : { policy }),
      ...sealOptions(options),
      ...(pin === undefined ? {} : { blobAuth: pin }),
    };
    const blob = await sealTrustedKey(tpm, request);
    await writeTrustedKey(flags.output, blob, policy);
    if (options.pcrlock !== undefined) await lockPcr(tpm, options.pcrlock);
    const { area } = blob;
    const fields = {
      output: flags.output,
      bytes: payload.length,
      keyhandle: `0x${parent.toString(16)}`,
      hash: area.nameAlg,
      policy: area.authPolicy.length === 0 ? null : toHex(area.authPolicy),
      ...demonstrationField(opened),
    };
    const made = `${placeOf(flags.output)}: a trusted key of ${payload.length} bytes${sealedTo(flags)}`;
    const unkept = 'what it is sealed to is kept nowhere: `key unseal` asks for it, as --pcrs and --pin';
    const lines = isStandardOutput(flags.output) && policy !== undefined ? [made, unkept] : [made];
    tellMade(flags, { key: textOf(blob), fields, lines });
  });
}

/** What must be known to open a key again and cannot be said by options has to be kept. */
function refuseUnkept({ output }: TrustedFlags, policy: Policy | undefined): void {
  if (!isStandardOutput(output) || policy?.some(({ kind }) => kind === 'or' || kind === 'authorize') !== true) return;
  throw new KeyError(
    'key.option',
    'a key for several states or a signer opens only with its policy, kept beside its file',
    {
      advice: 'name a file: -o FILE, which gets FILE.policy beside it',
    },
  );
}

/** What of the kernel's options is about the sealing. */
function sealOptions({ keyauth, blobauth, hash, migratable, policydigest }: TrustedOptions): Partial<SealRequest> {
  return {
    ...(keyauth === undefined ? {} : { keyAuth: keyauth }),
    ...(blobauth === undefined ? {} : { blobAuth: blobauth }),
    ...(hash === undefined ? {} : { hash }),
    ...(migratable === undefined ? {} : { migratable }),
    ...(policydigest === undefined ? {} : { policyDigest: policydigest }),
  };
}

/** The kernel's words; the two that are secrets are read from where they say. */
async function trustedOptions(words: readonly string[]): Promise<TrustedOptions> {
  return parseTrustedOptions(await withSecrets(words));
}

/** The words with the secrets themselves in the place of where they are. A secret. */
export function withSecrets(words: readonly string[]): Promise<string[]> {
  const read = words.map(async (word) => {
    const [, name, source] = /^(keyauth|blobauth)=(.*)$/s.exec(word) ?? [];
    return name === undefined || source === undefined ? word : `${name}=${await readPassword(source, name)}`;
  });
  return Promise.all(read);
}

function refuseContradictions(flags: TrustedFlags, options: TrustedOptions): void {
  if (flags.keyhandle !== undefined && options.keyhandle !== undefined) {
    throw new KeyError('key.option', 'the handle is there twice, as --keyhandle and as keyhandle=');
  }
  const isSealed = flags.pcrs !== undefined || flags.pin !== undefined || flags.authorize !== undefined;
  if (options.policydigest !== undefined && isSealed) {
    throw new KeyError('key.option', 'policydigest= is a whole policy: it excludes --pcrs, --pin and --authorize');
  }
  if (flags.authorize !== undefined && (options.hash ?? 'sha256') !== 'sha256') {
    throw new KeyError('key.option', 'policies are signed over SHA-256: --authorize takes no other hash=');
  }
  if (options.blobauth !== undefined && flags.pin !== undefined) {
    throw new KeyError('key.option', 'blobauth= and --pin exclude each other');
  }
}

function payloadOf({
  bytes,
  payloadFile,
}: {
  readonly bytes?: number;
  readonly payloadFile?: string;
}): Buffer | undefined {
  if (payloadFile === undefined) return undefined;
  if (bytes !== undefined) throw new KeyError('key.option', '--bytes and --payload-file exclude each other');
  return readInput(payloadFile, MAX_PAYLOAD);
}

function sealedTo({ pcrs, authorize, pin }: PolicyFlags): string {
  const conditions = [
    ...(pcrs === undefined ? [] : [pcrs]),
    ...(authorize === undefined ? [] : [`what the owner of ${escapeControls(authorize)} signs`]),
    ...(pin === undefined ? [] : ['a PIN']),
  ];
  return conditions.length === 0 ? '' : `, sealed to ${conditions.join(' and ')}`;
}

const DEFAULT_BYTES: Readonly<Record<EncryptedFormat, number>> = { default: 64, ecryptfs: 64, enc32: 32 };

async function createEncrypted(flags: EncryptedFlags): Promise<void> {
  refuseExisting(flags.output);
  const name = parseMasterName(flags.master);
  const payload = payloadOf(flags) ?? randomBytes(flags.bytes ?? DEFAULT_BYTES[flags.format]);
  const key = encryptKey(payload, { name, payload: await masterPayload(name, openFlagsOf(flags)) }, flags.format);
  const line = encodeEncryptedKey(key);
  await writeNewFile(flags.output, line);
  const { output, format } = flags;
  const fields = { output, bytes: payload.length, format, master: name };
  const made = `${placeOf(output)}: an encrypted key of ${payload.length} bytes under ${name}`;
  tellMade(flags, { key: line, fields, lines: [made] });
}
