/**
 * A protected key as an initramfs needs it, where there is no Node: a folder for each protector, with what
 * `initramfs/open-evm-key` hands to keyctl, the TPM, argon2 and sha256sum. Nothing in it is secret. It lies on the root
 * file system and not in the image, which is measured: a key that is sealed to the image could not be in it. The image has
 * the fingerprints.
 */
import { digest as digestOf } from '../../bytes/index.ts';
import {
  type ApprovedPcrPolicy,
  encode,
  objectName,
  type Policy,
  pcrSelectionOf,
  policyDigest,
  TPM_ALG,
  TPM2B_DIGEST,
  TPM2B_NAME,
  TPM2B_PRIVATE,
  TPM2B_PUBLIC,
  TPML_DIGEST,
  TPML_PCR_SELECTION,
  TPMT_SIGNATURE,
} from '../../tpm/index.ts';
import { encodeEncryptedKey } from '../encrypted-key.ts';
import { KeyError } from '../error.ts';
import { encodeTrustedBlob } from '../trusted/blob.ts';
import type { ProtectedKey, Protector, ProtectorKind, ProtectorOf } from './protected-key.ts';

export interface BootFile {
  /** Below the key's folder: `1-tpm/blob`. */
  readonly path: string;
  readonly content: string | Uint8Array;
}

/** What asks nobody comes first. */
const ORDER: readonly ProtectorKind[] = ['tpm', 'usb', 'password', 'recovery'];

/**
 * @throws {KeyError} `key.option` where an initramfs could open none of the key's protectors
 */
export function bootFiles(key: ProtectedKey): BootFile[] {
  const usable = ORDER.flatMap((kind) => key.protectors.filter((protector) => protector.kind === kind));
  if (usable.length === 0) {
    throw new KeyError(
      'key.option',
      'no protector of the key opens it in an initramfs: a token needs its own programs',
      {
        advice: 'add one: assay key protector add FILE --seal, --password, --usb or --recovery',
      },
    );
  }
  return usable.flatMap((protector, index) => {
    const folder = `${index + 1}-${protector.kind}`;
    return [...commonFiles(protector), ...ownFiles(protector)].map(([name, content]) => ({
      path: `${folder}/${name}`,
      content,
    }));
  });
}

type NamedContent = readonly [name: string, content: string | Uint8Array];

const commonFiles = ({ wrapped, fingerprint }: Protector): NamedContent[] => [
  ['fingerprint', fingerprint],
  ['master', wrapped.master],
  ['line', encodeEncryptedKey(wrapped)],
];

function ownFiles(protector: Protector): NamedContent[] {
  switch (protector.kind) {
    case 'tpm':
      return tpmFiles(protector);
    case 'password': {
      const { salt, passes, memory, lanes } = protector.kdf;
      return [['argon2', `${salt} -id -t ${passes} -k ${memory} -p ${lanes} -l 32 -r`]];
    }
    case 'usb':
      return [
        ['device', protector.fileSystem],
        ['path', protector.path],
      ];
    case 'recovery':
    case 'token':
      return [];
  }
}

/** Structures as the TPM takes them (Part 2), which the shell puts into its commands as they are. */
function tpmFiles({ id, blob, policy = [] }: ProtectorOf<'tpm'>): NamedContent[] {
  const { nameAlg } = blob.area;
  const hash = nameAlg === 'null' ? 'sha256' : nameAlg;
  return [
    ['blob', encodeTrustedBlob(blob).toString('hex')],
    ['hash', bigEndian(TPM_ALG[hash], 2)],
    ['parent', bigEndian(blob.parent ?? 0, 4)],
    ['public', encode(TPM2B_PUBLIC, blob.area)],
    ['private', encode(TPM2B_PRIVATE, blob.private)],
    ...(policy.length === 0 ? [] : ([['policy', '']] as const)),
    ...policy.flatMap((step) => stepFiles(id, step, hash)),
  ];
}

function stepFiles(id: string, step: Policy[number], hash: Parameters<typeof policyDigest>[1]): NamedContent[] {
  switch (step.kind) {
    case 'pcr':
      return selectionFiles(pcrSelectionOf(step.values));
    case 'auth-value':
      return [['pin', '']];
    case 'or': {
      const [selection, ...others] = step.branches.map(branchSelection);
      if (selection === undefined || others.some((other) => other === undefined || text(other) !== text(selection)))
        break;
      const digests = step.branches.map((branch) => policyDigest(branch, hash));
      return [...selectionFiles(selection), ['alternatives', encode(TPML_DIGEST, digests)]];
    }
    case 'authorize': {
      const { key, policyRef, approved = [] } = step;
      if (approved.length === 0 || policyRef.length > 0) break;
      return [
        ['signer', encode(TPM2B_PUBLIC, key)],
        ['signer.name', encode(TPM2B_NAME, objectName(key))],
        ...approved.flatMap((one, index) => signedFiles(`signed-${String(index + 1).padStart(2, '0')}`, one, key)),
      ];
    }
  }
  throw new KeyError('key.option', `protector ${id} has a policy that an initramfs does not satisfy (${step.kind})`, {
    advice:
      step.kind === 'authorize'
        ? 'give what its owner has signed for this boot: --approve FILE'
        : 'seal it to --pcrs, with --pcr-values for each state',
  });
}

/** Of an alternative that is about PCRs alone. */
function branchSelection(branch: Policy): TPML_PCR_SELECTION | undefined {
  const [step, ...more] = branch;
  return step?.kind === 'pcr' && more.length === 0 ? pcrSelectionOf(step.values) : undefined;
}

/** For the TPM, and for people. */
const selectionFiles = (selection: TPML_PCR_SELECTION): NamedContent[] => [
  ['selection', encode(TPML_PCR_SELECTION, selection)],
  ['pcrs', text(selection)],
];

function signedFiles(
  folder: string,
  { selection, digest, signature }: ApprovedPcrPolicy,
  key: Parameters<typeof objectName>[0],
): NamedContent[] {
  const named = digestOf(key.nameAlg === 'null' ? 'sha256' : key.nameAlg, digest);
  return [
    [`${folder}/selection`, encode(TPML_PCR_SELECTION, selection)],
    [`${folder}/policy`, encode(TPM2B_DIGEST, digest)],
    [`${folder}/digest`, encode(TPM2B_DIGEST, named)],
    [`${folder}/signature`, encode(TPMT_SIGNATURE, signature)],
  ];
}

const text = (selection: TPML_PCR_SELECTION): string =>
  selection.map(({ hash, pcrs }) => `${hash}:${pcrs.join(',')}`).join('+');

function bigEndian(value: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeUIntBE(value, 0, size);
  return bytes;
}
