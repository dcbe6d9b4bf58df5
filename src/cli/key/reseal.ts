/** `assay key reseal`: the same key for another state of the machine, before that is booted. */
import type { Command } from 'commander';
import { toHex } from '../../bytes/index.ts';
import {
  type EncryptedKey,
  isUnsealedByKernel,
  KeyError,
  type ProtectedKey,
  type ProtectorOf,
  parseMasterName,
  policyOf,
  reencryptKey,
  replaceProtector,
  sealTrustedKey,
  TRUSTED_HASHES,
  type TrustedBlob,
  type TrustedHash,
  type UnsealRequest,
  unsealTrustedKey,
} from '../../keys/index.ts';
import type { Policy, TpmClient } from '../../tpm/index.ts';
import { escapeControls, printJson, printLine } from '../terminal.ts';
import { addTpmOptions, type TpmOptions, withTpm } from '../with-tpm.ts';
import { type KeyFile, readKeyToChange, readPolicies } from './key-file.ts';
import { MASTER_FILE_HELP, masterPayload } from './master.ts';
import { addOpenOptions, type OpenFlags, type OpenSecrets, openRequest, readOpenSecrets } from './open-options.ts';
import { readNewPin } from './pin.ts';
import { addPolicyOptions, approvedStep, type PolicyFlags, policyFor } from './policy-options.ts';
import {
  changedMeanwhile,
  changePolicies,
  changeProtectedKey,
  replaceEncryptedKey,
  replaceTrustedKey,
  textOf,
} from './write-key.ts';

const HELP = `
The key must open now. With --now it opens in this state too, until it is sealed anew: an update that is rolled back locks
nobody out. A key that is sealed with --authorize stays as it is, and --approve keeps with it what its owner has signed for
the boots to come. Of a protected key its TPM protectors are sealed anew. The file is replaced as a whole: whatever happens, the
old key or the new one is there. An encrypted key is encrypted under another master key, and opens under the old one no more.

Example:
  assay boot predict … --json > next.json
  assay key reseal kmk.blob --pcrs sha256:4,9 --pcr-values next.json --now
  assay key reseal evm.key --approve signed.json
  assay key reseal evm.key --master-file kmk.payload --to-master user:other --to-master-file other.payload`;

interface Flags extends TpmOptions, PolicyFlags, OpenFlags {
  readonly masterFile?: string;
  readonly toMaster?: string;
  readonly toMasterFile?: string;
}

export function registerReseal(key: Command): void {
  const reseal = key
    .command('reseal')
    .description('Seal a key to other PCR values, or to another policy')
    .argument('<file>', 'the key')
    .option('--master-file <file>', `of an encrypted key: ${MASTER_FILE_HELP}`)
    .option('--to-master <name>', 'encrypt it under this master key instead: user:NAME or trusted:NAME')
    .option('--to-master-file <file>', 'of that one, as --master-file')
    .option('--json', 'print {"output","policies"}; of an encrypted key {"output","master"}');
  addPolicyOptions(addOpenOptions(addTpmOptions(reseal), { pin: '--open-pin' }))
    .addHelpText('after', HELP)
    .action(runReseal);
}

async function runReseal(path: string, flags: Flags): Promise<void> {
  const file = readKeyToChange(path);
  if (file.kind === 'encrypted') {
    await reencryptFile(path, file.key, flags);
    return;
  }
  if (flags.approve !== undefined && flags.authorize === undefined) {
    await approveIn(path, file, flags.approve);
    if (flags.json === true) printJson({ output: path, policies: [] });
    else printLine(`${escapeControls(path)}: opens in the signed states too; it is sealed as before`);
    return;
  }
  const opening = await readOpenSecrets(flags);
  const newPin = flags.pin === undefined ? undefined : await readNewPin(flags.pin);
  const sealed = await withTpm(flags, async ({ tpm }) => {
    const asked = await policyFor(tpm, flags);
    if (asked === undefined) {
      throw new KeyError('key.option', 'what the key shall be sealed to is missing', {
        advice: 'name it with --pcrs, --authorize or --pin',
      });
    }
    const target = { asked, newPin, opening };
    return file.kind === 'trusted'
      ? [await resealFile(tpm, path, file.blob, target, flags)]
      : await resealProtectors(tpm, path, file.key, target, flags);
  });
  const policies = sealed.map(({ area }) => toHex(area.authPolicy));
  if (flags.json === true) printJson({ output: path, policies });
  else printLine(`${escapeControls(path)}: sealed anew`);
}

/** What the owner of its key has signed is kept with it: it is sealed to all of that already, and needs no TPM. */
async function approveIn(path: string, file: Exclude<KeyFile, { kind: 'encrypted' }>, signed: string): Promise<void> {
  if (file.kind === 'trusted') {
    await changePolicies(path, (blob, policies) => {
      const policy = approvedPolicy(policyOf(blob, policies), signed);
      if (policy === undefined) throw notAuthorized(path);
      return [policy];
    });
    return;
  }
  await changeProtectedKey(path, file.key, (now) => {
    const changed = now.protectors.flatMap((protector) => {
      const policy = protector.kind === 'tpm' ? approvedPolicy(protector.policy, signed) : undefined;
      return policy === undefined ? [] : [{ ...protector, policy }];
    });
    if (changed.length === 0) throw notAuthorized(path);
    return changed.reduce<ProtectedKey>(replaceProtector, now);
  });
}

/** @returns undefined for a policy that nobody signs */
function approvedPolicy(policy: Policy | undefined, signed: string): Policy | undefined {
  if (policy?.some(({ kind }) => kind === 'authorize') !== true) return undefined;
  return policy.map((step) => (step.kind === 'authorize' ? approvedStep(step, signed) : step));
}

const notAuthorized = (path: string): KeyError =>
  new KeyError('key.option', `${path} is not sealed to what somebody signs`, {
    advice: 'seal it anew with --authorize',
  });

async function reencryptFile(path: string, key: EncryptedKey, flags: Flags): Promise<void> {
  if (flags.toMaster === undefined) {
    throw new KeyError('key.option', `${path} is an encrypted key, which is sealed to nothing but its master key`, {
      advice: 'name another one: --to-master user:NAME --to-master-file FILE',
    });
  }
  const name = parseMasterName(flags.toMaster);
  const { tpm, data, toMasterFile } = flags;
  // What opens the one that it is under now says nothing about the other one.
  const other = {
    ...(tpm === undefined ? {} : { tpm }),
    ...(data === undefined ? {} : { data }),
    ...(toMasterFile === undefined ? {} : { masterFile: toMasterFile }),
  };
  const to = { name, payload: await masterPayload(name, other) };
  const moved = reencryptKey(key, await masterPayload(key.master, flags), to);
  await replaceEncryptedKey(path, key, moved);
  if (flags.json === true) printJson({ output: path, master: name });
  else printLine(`${escapeControls(path)}: encrypted under ${name}`);
}

interface Target {
  readonly asked: Policy;
  readonly newPin: Uint8Array | undefined;
  readonly opening: OpenSecrets;
}

async function resealFile(tpm: TpmClient, path: string, blob: TrustedBlob, target: Target, flags: Flags) {
  const request = await openRequest(tpm, blob, readPolicies(path), flags, target.opening);
  const resealed = await sealAnew(tpm, blob, request, target);
  await replaceTrustedKey(path, blob, resealed.blob, resealed.policy);
  return resealed.blob;
}

async function resealProtectors(tpm: TpmClient, path: string, key: ProtectedKey, target: Target, flags: Flags) {
  const sealed: { readonly from: TrustedBlob; readonly to: ProtectorOf<'tpm'> }[] = [];
  for (const protector of key.protectors) {
    if (protector.kind !== 'tpm') continue;
    if (isUnsealedByKernel(protector)) {
      throw new KeyError('key.option', `the kernel unseals ${protector.id}, and it satisfies no policy`, {
        advice: 'remove this protector and add one without --kernel-unseals',
      });
    }
    const described = protector.policy === undefined ? [] : [protector.policy];
    const request = await openRequest(tpm, protector.blob, described, flags, target.opening);
    const { blob, policy } = await sealAnew(tpm, protector.blob, request, target);
    sealed.push({ from: protector.blob, to: { ...protector, blob, policy } });
  }
  if (sealed.length === 0) throw new KeyError('key.option', `${path} has no TPM protector that could be sealed anew`);
  await changeProtectedKey(path, key, (now) =>
    sealed.reduce((changed, { from, to }) => {
      const current = now.protectors.find(({ id }) => id === to.id);
      if (current === undefined) return changed; // removed meanwhile, and stays so
      if (current.kind !== 'tpm' || textOf(current.blob) !== textOf(from)) throw changedMeanwhile(path);
      return replaceProtector(changed, to);
    }, now),
  );
  return sealed.map(({ to }) => to.blob);
}

async function sealAnew(
  tpm: TpmClient,
  blob: TrustedBlob,
  request: UnsealRequest,
  { asked, newPin }: Target,
): Promise<{ readonly blob: TrustedBlob; readonly policy: Policy }> {
  // A key that asks for a PIN goes on asking for it: its authorization value alone would no longer be asked for.
  const hadPin = request.policy?.some(({ kind }) => kind === 'auth-value') ?? false;
  const policy = hadPin && newPin === undefined ? [...asked, { kind: 'auth-value' } as const] : asked;
  const { payload, migratable } = await unsealTrustedKey(tpm, blob, request);
  const blobAuth = newPin ?? request.blobAuth;
  const sealed = await sealTrustedKey(tpm, {
    payload,
    parent: request.parent ?? blob.parent ?? 0,
    migratable,
    policy,
    hash: hashOf(blob.area.nameAlg),
    ...(request.keyAuth === undefined ? {} : { keyAuth: request.keyAuth }),
    ...(blobAuth === undefined ? {} : { blobAuth }),
  });
  return { blob: sealed, policy };
}

export function hashOf(name: string): TrustedHash {
  const known = TRUSTED_HASHES.find((hash) => hash === name);
  if (known !== undefined) return known;
  throw new KeyError('key.malformed', `trusted keys have no hash ${name}`);
}
