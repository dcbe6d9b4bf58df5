/** Files whose labels stand or do not, each in one way, for a kernel and for our appraisal to judge. */
import type { Signer } from '../../src/digsig/index.ts';
import { encodeSignature, signDigest, signFileId } from '../../src/digsig/index.ts';
import { EVM_XATTR, encodeEvmSignature, evmDigest, readEvmMetadata } from '../../src/evm/index.ts';
import { encodeImaDigest, encodeImaSignature } from '../../src/ima/index.ts';
import { setXattr } from '../../src/sys/index.ts';
import {
  byCommand,
  changeContent,
  changeMode,
  digestOf,
  giveTo,
  type LabelledFile,
  type Preparation,
  setHash,
  setHmac,
  setIma,
  sign,
  signMetadata,
} from './labelled-files.ts';
import type { SigningKey } from './signing-key.ts';

export interface Signers {
  /** Its certificate is in the keyring `_ima`. */
  readonly ima: Signer;
  /** Its certificate is in the keyring `_evm`. */
  readonly evm: Signer;
  /** Its certificate is nowhere. */
  readonly stranger: Signer;
  readonly hmacKey: Uint8Array;
}

/** What the kernel does not look at. */
const LABEL_END = Buffer.of(1, 2);

/** CAP_NET_RAW, in the form of `linux/capability.h`, VFS_CAP_REVISION_2. */
const setCapability = (file: string): void =>
  setXattr(file, 'security.capability', Buffer.from('0100000200200000000000000000000000000000', 'hex'));

/** Format 3 in `security.evm`, over the portable digest itself or over its file id. */
const signPortableV3 =
  (signer: Signer, over: 'digest' | 'file id'): Preparation =>
  (file) => {
    const digest = evmDigest('sha256', readEvmMetadata(file, { portable: true }).metadata, { portable: true });
    const header = { version: 3, algorithm: 'sha256', keyId: signer.keyId } as const;
    const signature =
      over === 'file id'
        ? signFileId(signer, 5, 'sha256', digest)
        : encodeSignature({ ...header, signature: signer.sign('sha256', digest) });
    setXattr(file, EVM_XATTR, encodeEvmSignature(signature, { portable: true }));
  };

/** About `security.ima` alone. */
export const contentFiles = ({ ima, evm, stranger }: Signers): readonly LabelledFile[] => [
  ['hash', 'pass', setHash],
  ['hash-sha1', 'pass', setIma((file) => encodeImaDigest('sha1', digestOf(file, 'sha1'), { legacy: true }))],
  ['hash-and-more', 'pass', setIma((file) => Buffer.concat([encodeImaDigest('sha256', digestOf(file)), LABEL_END]))],
  ['unlabelled', 'appraise_data missing-hash'],
  ['hash-changed', 'appraise_data invalid-hash', setHash, changeContent],
  [
    'hash-cut',
    'appraise_data invalid-hash',
    setIma((file) => encodeImaDigest('sha256', digestOf(file)).subarray(0, 30)),
  ],
  ['signed', 'pass', sign(ima)],
  ['signed-changed', 'appraise_data invalid-signature', sign(ima), changeContent],
  ['signed-by-stranger', 'appraise_data invalid-signature', sign(stranger)],
  ['signed-by-evm-key', 'appraise_data invalid-signature', sign(evm)],
  [
    'signature-cut',
    'appraise_data invalid-signature',
    setIma((file) => encodeImaSignature(signDigest(ima, 'sha256', digestOf(file))).subarray(0, 40)),
  ],
  ['signature-v0', 'appraise_data unknown', setIma(() => Buffer.from([3, 0, 4, ...Buffer.alloc(64)]))],
  [
    'signature-v3',
    'appraise_data invalid-signature-version',
    setIma((file) => encodeImaSignature(signFileId(ima, 3, 'sha256', digestOf(file)))),
  ],
  [
    // Where no rule asks for fs-verity, the kernel takes what it measured for its digest.
    'verity-signature',
    'pass',
    setIma((file) => encodeImaSignature(signFileId(ima, 6, 'sha256', digestOf(file)), { verity: true })),
  ],
  ['unknown-type', 'appraise_data unknown-ima-data', setIma(() => Buffer.of(9, 1, 2))],
];

/** About `security.evm`. */
export function metadataFiles({ ima, evm, stranger, hmacKey }: Signers): readonly LabelledFile[] {
  const hmac = setHmac(hmacKey);
  const portable = signMetadata(evm, { portable: true });
  return [
    ['hmac', 'pass', setHash, hmac],
    ['hmac-with-capability', 'pass', setHash, setCapability, hmac],
    ['hmac-then-capability', 'appraise_data invalid-HMAC', setHash, hmac, setCapability],
    ['hmac-of-other-key', 'appraise_data invalid-HMAC', setHash, setHmac(Buffer.alloc(64, 1))],
    ['hmac-then-mode', 'appraise_data invalid-HMAC', setHash, hmac, changeMode],
    ['hmac-then-content', 'appraise_data invalid-hash', setHash, hmac, changeContent],
    ['hmac-then-content-and-hash', 'appraise_data invalid-HMAC', setHash, hmac, changeContent, setHash],
    ['no-hmac', 'appraise_data missing-HMAC', setHash],
    [
      'evm-unknown-type',
      'appraise_data invalid-HMAC',
      setHash,
      (file) => setXattr(file, EVM_XATTR, Buffer.of(9, 1, 2)),
    ],
    ['metadata-signed', 'pass', setHash, signMetadata(evm)],
    ['metadata-signed-by-stranger', 'appraise_data invalid-HMAC', setHash, signMetadata(stranger)],
    ['portable', 'pass', setHash, portable],
    ['portable-then-mode', 'appraise_data invalid-fail-immutable', setHash, portable, changeMode],
    // The tests' kernels treat format 3 as format 2 here: src/evm/appraise.ts, signedHeader.
    ['portable-v3-over-digest', 'pass', setHash, signPortableV3(evm, 'digest')],
    ['portable-v3-over-file-id', 'appraise_data invalid-fail-immutable', setHash, signPortableV3(evm, 'file id')],
    ['portable-by-ima-key', 'appraise_data invalid-fail-immutable', setHash, signMetadata(ima, { portable: true })],
  ];
}

export interface LabelKeys {
  readonly ima: SigningKey;
  readonly evm: SigningKey;
  readonly stranger: SigningKey;
  /** Holds the payload of `evm-key`. */
  readonly hmacKeyFile: string;
}

/** Options of `assay label`. */
export const signedBy = ({ files }: SigningKey): string[] => ['--sign', files.key, '--cert', files.certificate];
const evmBy = (mode: 'sign' | 'portable', { files }: SigningKey): string[] => [
  ...['--evm', mode, '--evm-key', files.key],
  ...['--evm-cert', files.certificate],
];

/** As {@link contentFiles}, labelled by `assay label`. */
export const commandContentFiles = ({ ima, stranger }: LabelKeys): readonly LabelledFile[] => [
  ['label', 'pass', byCommand()],
  ['label-changed', 'appraise_data invalid-hash', byCommand(), changeContent],
  ['label-sha1', 'pass', byCommand('--hash', 'sha1')],
  ['label-signed', 'pass', byCommand(...signedBy(ima))],
  ['label-signed-changed', 'appraise_data invalid-signature', byCommand(...signedBy(ima)), changeContent],
  ['label-signed-by-stranger', 'appraise_data invalid-signature', byCommand(...signedBy(stranger))],
];

/** As {@link metadataFiles}, labelled by `assay label`. */
export function commandMetadataFiles({ ima, evm, stranger, hmacKeyFile }: LabelKeys): readonly LabelledFile[] {
  const hmac = byCommand('--evm', 'hmac', '--evm-key', hmacKeyFile);
  const portable = byCommand(...evmBy('portable', evm));
  return [
    ['label-hmac', 'pass', hmac],
    ['label-hmac-then-mode', 'appraise_data invalid-HMAC', hmac, changeMode],
    ['label-hmac-then-label', 'appraise_data invalid-HMAC', hmac, changeContent, byCommand()],
    ['label-hmac-anew', 'pass', hmac, changeContent, changeMode, setCapability, hmac],
    ['label-evm-signed', 'pass', byCommand(...evmBy('sign', evm))],
    ['label-both-signed', 'pass', byCommand(...signedBy(ima), ...evmBy('sign', evm))],
    ['label-evm-signed-by-stranger', 'appraise_data invalid-HMAC', byCommand(...evmBy('sign', stranger))],
    ['label-portable', 'pass', portable],
    ['label-portable-then-mode', 'appraise_data invalid-fail-immutable', portable, changeMode],
  ];
}

/** SHA-512 is a module to Debian's kernel: without it a file of such a label is denied (`collect_data failed`). */
const SHA512 = ['--hash', 'sha512'];

export const sha512ContentFiles = ({ ima }: LabelKeys): readonly LabelledFile[] => [
  ['label-sha512', 'pass', byCommand(...SHA512)],
  ['label-signed-sha512', 'pass', byCommand(...SHA512, ...signedBy(ima))],
];

export const sha512MetadataFiles = ({ ima, evm }: LabelKeys): readonly LabelledFile[] => [
  ['label-portable-sha512', 'pass', byCommand(...SHA512, ...signedBy(ima), ...evmBy('portable', evm))],
];

/** Under EVM and a rule that wants signatures of the files of `owner`. */
export function signedOnlyFiles({ ima, evm, hmacKey }: Signers, owner: number): readonly LabelledFile[] {
  const hmac = setHmac(hmacKey);
  const give = giveTo(owner);
  return [
    ['must-signed', 'pass', give, sign(ima), hmac],
    ['must-hash', 'appraise_data IMA-signature-required', give, setHash, hmac],
    ['must-unlabelled', 'appraise_data IMA-signature-required', give],
    ['must-hash-portable', 'pass', give, setHash, signMetadata(evm, { portable: true })],
  ];
}
