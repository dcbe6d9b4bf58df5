/** Options that name protectors: to make them, and to open a key with them. */

import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import {
  ensureStorageKey,
  KeyError,
  keyFileMaster,
  masterText,
  newProtectorId,
  type Openers,
  type Protector,
  type ProtectorOf,
  passwordProtector,
  placeKeyFile,
  recoveryProtector,
  removableMaster,
  STORAGE_ROOT_KEY,
  sealTrustedKey,
  slotFor,
  tokenMaster,
  tokenProtector,
  tpmProtector,
  unsealTrustedKey,
} from '../../keys/index.ts';
import { readNewPassword, readPassword, SECRET_FORMS } from '../secret-source.ts';
import { type TpmOptions, withTpm } from '../with-tpm.ts';
import { handleArgument } from './handle.ts';
import { type OpenFlags, openRequest, readOpenSecrets } from './open-options.ts';
import { readNewPin } from './pin.ts';
import { addPolicyOptions, type PolicyFlags, policyFor } from './policy-options.ts';

export interface ProtectorFlags extends TpmOptions, PolicyFlags {
  readonly password?: string;
  readonly usb?: string;
  readonly token?: string;
  readonly tokenPin?: string;
  readonly seal?: boolean;
  readonly keyhandle?: number;
  readonly kernelUnseals?: boolean;
  readonly recovery?: boolean;
}

const ROOT_KEY_NAME = `0x${STORAGE_ROOT_KEY.toString(16)}`;

export function addProtectorOptions(command: Command): Command {
  command
    .option('--password <source>', `a password, asked for at boot: ${SECRET_FORMS}`)
    .option('--usb <file>', 'a key file on a mounted removable device; made where it is missing')
    .option('--token <uri>', 'an RSA key in a PKCS#11 token, as pkcs11:token=T;object=O')
    .option('--token-pin <source>', `the token's PIN: ${SECRET_FORMS}`)
    .option('--seal', 'the TPM: to --pcrs, --authorize, --pin, or to nothing but this TPM')
    .option(
      '--keyhandle <handle>',
      `with --seal: the storage key (default: ${ROOT_KEY_NAME}, which is made where it is missing)`,
      handleArgument,
    )
    .option(
      '--kernel-unseals',
      'with --seal, and without a policy: at boot a kernel with trusted keys unseals it, so that no process has the master key',
    )
    .option('--recovery', 'a recovery code, which is printed once');
  return addPolicyOptions(command);
}

export interface NewProtectors {
  readonly protectors: readonly Protector[];
  /** A secret, to be shown once. */
  readonly code: string | undefined;
}

/** @throws {KeyError} `key.option` where the options name none */
export async function newProtectors(payload: Uint8Array, flags: ProtectorFlags): Promise<NewProtectors> {
  refuseUnsealable(flags);
  const sealed = flags.seal === true ? [await sealedProtector(payload, flags)] : [];
  const token = flags.token === undefined ? [] : [await ownTokenProtector(payload, flags.token, flags.tokenPin)];
  const password =
    flags.password === undefined
      ? []
      : [passwordProtector(payload, await readNewPassword(flags.password, 'new password'))];
  const recovery = flags.recovery === true ? recoveryProtector(payload) : undefined;
  // Made last: it leaves a file on the device, and what fails before it none.
  const usb = flags.usb === undefined ? [] : [await usbProtector(payload, flags.usb)];
  const code = recovery === undefined ? [] : [recovery.protector];
  const protectors: Protector[] = [...sealed, ...usb, ...token, ...password, ...code];
  if (protectors.length > 0) return { protectors, code: recovery?.code };
  throw new KeyError('key.option', 'what shall protect the key is missing', {
    advice: 'name at least one of --seal, --password, --usb, --token and --recovery',
  });
}

function refuseUnsealable({ seal, kernelUnseals, pcrs, pin, authorize }: ProtectorFlags): void {
  if (kernelUnseals !== true) return;
  if (seal !== true) throw new KeyError('key.option', '--kernel-unseals is about --seal, which is missing');
  if (pcrs === undefined && pin === undefined && authorize === undefined) return;
  throw new KeyError('key.option', '--kernel-unseals excludes --pcrs, --pin and --authorize', {
    advice:
      'the kernel satisfies no policy by itself; leave --kernel-unseals out, and the opener of the initramfs unseals it',
  });
}

async function ownTokenProtector(payload: Uint8Array, uri: string, pin: string | undefined): Promise<Protector> {
  refusePinIn(uri);
  return tokenProtector(payload, uri, pin === undefined ? undefined : await readPassword(pin, 'token PIN'));
}

/** RFC 7512, 2.4: `pin-value` in a URI is as a password on the command line. */
function refusePinIn(uri: string): void {
  if (!/[?&]pin-value=/i.test(uri)) return;
  throw new KeyError('key.option', 'the PIN in the URI stands on the command line, where every user could read it', {
    advice: 'take it out, and give --token-pin file:PATH, fd:N, - or prompt; or pin-source=FILE in the URI',
  });
}

async function usbProtector(payload: Uint8Array, path: string): Promise<ProtectorOf<'usb'>> {
  const { place, content } = await placeKeyFile(path);
  const id = newProtectorId('usb');
  return { ...slotFor(id, payload, keyFileMaster(content)), kind: 'usb', ...place };
}

/** The trusted key's payload is the master key: sealed anew, it goes to another boot state while the key stays. */
async function sealedProtector(payload: Uint8Array, flags: ProtectorFlags): Promise<ProtectorOf<'tpm'>> {
  const master = masterText(randomBytes(32));
  const id = newProtectorId('tpm');
  const pin = flags.pin === undefined ? undefined : await readNewPin(flags.pin);
  return withTpm(flags, async ({ tpm }) => {
    const policy = await policyFor(tpm, flags);
    if (flags.keyhandle === undefined && (await ensureStorageKey(tpm)) && flags.json !== true)
      process.stderr.write(`assay: made the storage root key ${ROOT_KEY_NAME}, which this TPM lacked\n`);
    const blob = await sealTrustedKey(tpm, {
      payload: master,
      parent: flags.keyhandle ?? STORAGE_ROOT_KEY,
      ...(policy === undefined ? {} : { policy }),
      ...(pin === undefined ? {} : { blobAuth: pin }),
    });
    return tpmProtector(payload, id, master, { blob, policy, byKernel: flags.kernelUnseals === true });
  });
}

// --- opening ----------------------------------------------------------------------------------------------------------

export interface OpenerFlags extends TpmOptions, OpenFlags {
  readonly openPassword?: string;
  readonly openRecovery?: string;
  readonly openTokenPin?: string;
}

/** @param prefix of the options' names, where the command has others of the same name: `open-` */
export function addOpenerOptions(command: Command, prefix: '' | 'open-'): Command {
  for (const [name, what] of [
    ['password', 'its password'],
    ['recovery', 'its recovery code'],
    ['token-pin', 'the PIN of its token'],
  ] as const) {
    command.option(`--${prefix}${name} <source>`, `open a protected key with ${what}: ${SECRET_FORMS}`);
  }
  return command;
}

/** A removable device is looked for always; the TPM where the key has such a protector and nothing else was named. */
export async function openersFor(flags: OpenerFlags): Promise<Openers> {
  const { openPassword, openRecovery, openTokenPin } = flags;
  const isNamed = openPassword !== undefined || openRecovery !== undefined || openTokenPin !== undefined;
  const tokenPin = openTokenPin === undefined ? undefined : await readPassword(openTokenPin, 'token PIN');
  return {
    ...(openPassword === undefined ? {} : { password: await readPassword(openPassword, 'password') }),
    ...(openRecovery === undefined ? {} : { recoveryCode: await readPassword(openRecovery, 'recovery code') }),
    ...(tokenPin === undefined ? {} : { token: async (protector) => tokenMaster(protector, tokenPin) }),
    ...(isNamed ? {} : { usb: removableMaster, tpm: await tpmOpener(flags) }),
  };
}

async function tpmOpener(flags: OpenerFlags): Promise<NonNullable<Openers['tpm']>> {
  const secrets = await readOpenSecrets(flags);
  return ({ blob, policy }) =>
    withTpm({ ...flags, json: true }, async ({ tpm }) => {
      const described = policy === undefined ? [] : [policy];
      return (await unsealTrustedKey(tpm, blob, await openRequest(tpm, blob, described, flags, secrets))).payload;
    });
}
