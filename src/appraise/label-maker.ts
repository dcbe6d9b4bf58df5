/** What `security.ima` is to hold, from an open file. */
import { type DigestAlgorithm, digestInfo } from '../bytes/index.ts';
import { openSigner, type Signer, signDigest, signFileId } from '../digsig/index.ts';
import { encodeImaDigest, encodeImaSignature, IMA_TYPE } from '../ima/index.ts';
import { fileDigester, verityDigest } from '../sys/index.ts';
import { beginsLikeSignedLabel } from './directory/label.ts';
import { FileProblem } from './problem.ts';
import type { StableReader } from './stable-reader.ts';
import type { LabelTask } from './task.ts';
import type { VerityAlgorithm } from './verity-digest.ts';

export interface MadeLabel {
  readonly label: Buffer;
  /** The content's, where the label is over it. */
  readonly digest?: Buffer;
}

/** @param fd at the file's start @param path of {@link StableReader.digest} */
export type LabelMaker = (fd: number, path: Buffer) => MadeLabel;

/**
 * @param reader holds the status of the file at hand
 * @throws what opening the key throws @throws {DigestAlgorithmError} @throws {SysError} `sys.unavailable`
 */
export function labelMaker({ algorithm, signer, verity }: LabelTask, reader: StableReader): LabelMaker {
  if (signer === undefined) return digestLabels(algorithm, reader);
  return verity === undefined
    ? signatureLabels(openSigner(signer), algorithm, reader)
    : verityLabels(openSigner(signer), verity, reader);
}

function digestLabels(algorithm: DigestAlgorithm, reader: StableReader): LabelMaker {
  const digester = fileDigester(algorithm);
  // `01` for MD5 and SHA-1, as the kernel writes them (ima_appraise.c:ima_fix_xattr).
  const legacy = digestInfo(algorithm).kernelId <= digestInfo('sha1').kernelId;
  return (fd, path) => {
    const digest = reader.digest(fd, path, digester);
    return { label: encodeImaDigest(algorithm, digest, { legacy }), digest };
  };
}

function signatureLabels(signer: Signer, algorithm: DigestAlgorithm, reader: StableReader): LabelMaker {
  const digester = fileDigester(algorithm);
  return (fd, path) => {
    const digest = reader.digest(fd, path, digester);
    if (beginsLikeSignedLabel(fd)) throw new FileProblem('directory-label-content');
    return { label: encodeImaSignature(signDigest(signer, algorithm, digest)), digest };
  };
}

/** Where fs-verity is enabled, its own algorithm counts. Format 3 cannot be taken for a directory's signature. */
function verityLabels(signer: Signer, algorithm: VerityAlgorithm, reader: StableReader): LabelMaker {
  return (fd) => {
    const verity = verityDigest(fd) ?? { algorithm, digest: reader.verityDigest(fd, algorithm) };
    const signature = signFileId(signer, IMA_TYPE.veritySignature, verity.algorithm, verity.digest);
    return { label: encodeImaSignature(signature, { verity: true }) };
  };
}
