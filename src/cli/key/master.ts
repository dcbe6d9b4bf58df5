/** The payload of a master key: out of a file, or of the kernel's keyring. */
import { KeyError, type MasterName, parseTrustedKey, type TrustedBlob, unsealTrustedKey } from '../../keys/index.ts';
import { readKey, SPECIAL_KEYRINGS, searchKey } from '../../sys/index.ts';
import { inFile } from '../in-file.ts';
import { readInput } from '../read-input.ts';
import { type TpmOptions, withTpm } from '../with-tpm.ts';
import { readPolicies } from './key-file.ts';
import { type OpenFlags, openRequest, readOpenSecrets } from './open-options.ts';

/** Larger than any key's payload in the kernel. */
const MAX_MASTER = 64 * 1024;

export const MASTER_FILE_HELP =
  "the master key's payload; of a trusted key also its blob, which the TPM unseals (left out: a user key of the kernel's keyrings)";

/**
 * @returns the payload, a secret
 * @throws {KeyError} `key.missing`; of the trusted key's unsealing
 */
export async function masterPayload(
  name: MasterName,
  options: TpmOptions & OpenFlags & { readonly masterFile?: string },
): Promise<Uint8Array> {
  const { masterFile } = options;
  if (masterFile === undefined) return fromKeyring(name);
  const bytes = readInput(masterFile, MAX_MASTER);
  if (bytes.length > MAX_MASTER) throw new KeyError('key.size', `${masterFile} has more than ${MAX_MASTER} bytes`);
  if (bytes.length === 0) throw new KeyError('key.size', `${masterFile} is empty, and is no master key`);
  if (!isBlob(bytes)) return bytes;
  if (!name.startsWith('trusted:')) {
    throw new KeyError('key.wrong-master', `${masterFile} is the blob of a trusted key, and the key is under ${name}`, {
      advice: `give its payload (assay key unseal ${masterFile}); a key that the TPM is to unseal is created under trusted:NAME`,
    });
  }
  const blob = inFile(masterFile, () => parseTrustedKey(bytes.toString('latin1')));
  return unsealedFrom(masterFile, blob, options);
}

/** No payload that anybody has: the kernel's form of a blob begins with a TPMKey's tag, the older one is as long. */
const isBlob = (bytes: Buffer): boolean => /^\s*(?:load\s+)?[0-9a-fA-F]{300,}\s*$/.test(bytes.toString('latin1'));

/** What the trusted key in a file unseals to, a secret. @param path beside which its policies are kept */
export async function unsealedFrom(
  path: string,
  blob: TrustedBlob,
  options: TpmOptions & OpenFlags,
): Promise<Uint8Array> {
  const secrets = await readOpenSecrets(options);
  return withTpm({ ...options, json: true }, async ({ tpm }) => {
    const request = await openRequest(tpm, blob, readPolicies(path), options, secrets);
    return (await unsealTrustedKey(tpm, blob, request)).payload;
  });
}

function fromKeyring(name: MasterName): Uint8Array {
  const [type = '', description = ''] = name.split(/:(.*)/s);
  if (type === 'trusted') {
    throw new KeyError('key.missing', `the kernel gives out no payload of ${name}`, {
      advice: 'name its blob, or what it unseals to, with --master-file',
    });
  }
  for (const keyring of ['@s', '@u', '@us']) {
    const serial = searchKey('user', description, SPECIAL_KEYRINGS.get(keyring) ?? 0);
    if (serial !== undefined) return readKey(serial);
  }
  throw new KeyError('key.missing', `no keyring of this session has a key ${name}`, {
    advice: 'name its payload with --master-file FILE',
  });
}
