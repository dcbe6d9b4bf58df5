/** `assay key reseal`: the same key for another state of the machine, before that is booted. */
import type { Command } from 'commander';
import { toHex } from '../../bytes/index.ts';
import {
  KeyError,
  sealTrustedKey,
  TRUSTED_HASHES,
  type TrustedHash,
  type UnsealRequest,
  unsealTrustedKey,
} from '../../keys/index.ts';
import { readPassword } from '../secret-source.ts';
import { escapeControls, printJson, printLine } from '../terminal.ts';
import { addTpmOptions, type TpmOptions, withTpm } from '../with-tpm.ts';
import { readKeyFile, readPolicies, replaceTrustedKey } from './key-file.ts';
import { addOpenOptions, type OpenFlags, openRequest } from './open-options.ts';
import { addPolicyOptions, type PolicyFlags, policyFor } from './policy-options.ts';

const HELP = `
The key must open now. With --now it opens in this state too, until it is sealed anew: an update that is rolled back locks
nobody out. The file is replaced as a whole: whatever happens, the old key or the new one is there.

Example:
  assay boot predict … --json > next.json
  assay key reseal kmk.blob --pcrs sha256:4,9 --pcr-values next.json --now`;

interface Flags extends TpmOptions, PolicyFlags, OpenFlags {}

export function registerReseal(key: Command): void {
  const reseal = key
    .command('reseal')
    .description('Seal a trusted key to other PCR values, or to another policy')
    .argument('<file>', 'the key')
    .option('--json', 'print {"output","policy"}');
  addPolicyOptions(addOpenOptions(addTpmOptions(reseal), { pin: '--open-pin' }))
    .addHelpText('after', HELP)
    .action(runReseal);
}

async function runReseal(path: string, flags: Flags): Promise<void> {
  const file = readKeyFile(path);
  if (file.kind !== 'trusted') {
    throw new KeyError('key.option', `${path} is an encrypted key, which is sealed to nothing but its master key`);
  }
  const { blob } = file;
  const pin = flags.pin === undefined ? undefined : Buffer.from(await readPassword(flags.pin, 'new PIN'));
  await withTpm(flags, async ({ tpm }) => {
    const asked = await policyFor(tpm, flags);
    if (asked === undefined) {
      throw new KeyError('key.option', 'what the key shall be sealed to is missing', {
        advice: 'name it with --pcrs, --authorize or --pin',
      });
    }
    const request = await openRequest(tpm, path, blob, flags);
    const policy = keepsPin(request, flags) ? [...asked, { kind: 'auth-value' } as const] : asked;
    const { payload, migratable } = await unsealTrustedKey(tpm, blob, request);
    const parent = request.parent ?? blob.parent ?? 0;
    const auth = pin ?? request.blobAuth;
    const hash = hashOf(blob.area.nameAlg);
    const sealed = await sealTrustedKey(tpm, {
      payload,
      parent,
      migratable,
      policy,
      hash,
      ...(request.keyAuth === undefined ? {} : { keyAuth: request.keyAuth }),
      ...(auth === undefined ? {} : { blobAuth: auth }),
    });
    await replaceTrustedKey(path, sealed, policy, readPolicies(path));
    if (flags.json === true) printJson({ output: path, policy: toHex(sealed.area.authPolicy) });
    else printLine(`${escapeControls(path)}: sealed anew`);
  });
}

/** A key that asks for a PIN goes on asking for it: its authorization value alone would no longer be asked for. */
const keepsPin = (request: UnsealRequest, { pin }: Flags): boolean =>
  pin === undefined && (request.policy?.some(({ kind }) => kind === 'auth-value') ?? false);

function hashOf(name: string): TrustedHash {
  const known = TRUSTED_HASHES.find((hash) => hash === name);
  if (known !== undefined) return known;
  throw new KeyError('key.malformed', `trusted keys have no hash ${name}`);
}
