/**
 * A protected key as an initramfs needs it, where there is no Node: a folder for each protector, with what
 * `initramfs/open-evm-key` hands to keyctl, tpm2-tools, argon2 and sha256sum. Nothing in it is secret. It lies on the root
 * file system and not in the image, which is measured: a key that is sealed to the image could not be in it. The image has
 * the fingerprints.
 */
import {
  encode,
  type Policy,
  pcrSelectionOf,
  policyDigest,
  TPM2B_PRIVATE,
  TPM2B_PUBLIC,
  type TPML_PCR_SELECTION,
} from '../../tpm/index.ts';
import { encodeEncryptedKey } from '../encrypted-key.ts';
import { KeyError } from '../error.ts';
import { encodeTrustedBlob } from '../trusted/blob.ts';
import type { ProtectedKey, Protector, ProtectorKind, ProtectorOf } from './protected-key.ts';

export interface BootFile {
  /** Below the key's folder: `1-tpm/blob.pub`. */
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

function tpmFiles({ id, blob, policy = [] }: ProtectorOf<'tpm'>): NamedContent[] {
  const steps = policy.map((step) => stepOf(id, step, blob.area.nameAlg === 'null' ? 'sha256' : blob.area.nameAlg));
  return [
    ['blob', encodeTrustedBlob(blob).toString('hex')],
    ['hash', blob.area.nameAlg],
    ['parent', `0x${(blob.parent ?? 0).toString(16)}`],
    ['key.pub', encode(TPM2B_PUBLIC, blob.area)],
    ['key.priv', encode(TPM2B_PRIVATE, blob.private)],
    ...steps.flat(),
  ];
}

function stepOf(id: string, step: Policy[number], hash: Parameters<typeof policyDigest>[1]): NamedContent[] {
  switch (step.kind) {
    case 'pcr':
      return [['pcrs', selectionText(pcrSelectionOf(step.values))]];
    case 'auth-value':
      return [['pin', '']];
    case 'or': {
      const selections = new Set(step.branches.map(branchSelection));
      const [selection] = selections;
      if (selection === undefined || selections.size > 1) break;
      const digests = step.branches.map((branch) => policyDigest(branch, hash));
      return [
        ['pcrs', selection],
        ['alternatives', String(digests.length)],
        ...digests.map((digest, i) => [`or.${i + 1}`, digest] as const),
      ];
    }
    case 'authorize':
      break;
  }
  throw new KeyError('key.option', `protector ${id} has a policy that an initramfs does not satisfy (${step.kind})`, {
    advice: 'seal it to --pcrs, with --pcr-values for each state',
  });
}

/** Of an alternative that is about PCRs alone. */
function branchSelection(branch: Policy): string | undefined {
  const [step, ...more] = branch;
  return step?.kind === 'pcr' && more.length === 0 ? selectionText(pcrSelectionOf(step.values)) : undefined;
}

const selectionText = (selection: TPML_PCR_SELECTION): string =>
  selection.map(({ hash, pcrs }) => `${hash}:${pcrs.join(',')}`).join('+');
