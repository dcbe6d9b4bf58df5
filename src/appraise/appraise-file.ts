/** Judges the label of one file in the kernel's order of tests and with its words (`ima_appraise.c`, xattr_verify). */
import { bytesEqual, type DigestAlgorithm, digestInfoByKernelId, ParseError, toHex } from '../bytes/index.ts';
import { formatKeyId, Keyring, parseSignature, readPublicKeys, verifySignature } from '../digsig/index.ts';
import { appraiseEvm, readEvmMetadata } from '../evm/index.ts';
import {
  closeFile,
  type FileDigester,
  FileStatus,
  fgetXattr,
  fileDigester,
  openBeneath,
  SysError,
  verityDigest,
} from '../sys/index.ts';
import { type BatchTally, FileProblem, runBatch } from './batch-run.ts';
import { FileSystemUuids } from './evm-labeller.ts';
import { withoutNul } from './paths.ts';
import { StableReader } from './stable-reader.ts';
import type { AppraiseCause, AppraiseTask, BadFile, Batch, BatchResult, FileOutcome, KeyFileBytes } from './task.ts';

type Fault = Omit<BadFile, 'path'>;

const fault = (cause: AppraiseCause, expected: string, found: string): Fault => ({ cause, expected, found });

/** Computes a digest of the file at hand. */
type DigestOf = (algorithm: DigestAlgorithm) => Buffer;

export class Appraiser {
  readonly #task: AppraiseTask;
  readonly #keyring: Keyring;
  readonly #before = new FileStatus();
  readonly #reader: StableReader;
  readonly #evmKeyring: Keyring | undefined;
  readonly #uuids = new FileSystemUuids();
  readonly #digesters = new Map<DigestAlgorithm, FileDigester>();

  /** @throws {DigsigError} for keys that cannot be read */
  constructor(task: AppraiseTask) {
    this.#task = task;
    this.#reader = new StableReader(task, this.#before, new FileStatus());
    this.#keyring = keyringOf(task.keys);
    this.#evmKeyring = task.evmKeys.length === 0 ? undefined : keyringOf(task.evmKeys);
  }

  run(batch: Batch): BatchResult {
    return runBatch(batch, this.#task.digestsIn !== undefined, (path, result) =>
      this.#one(path, batch.linksSettled, result),
    );
  }

  #one(path: Buffer, linksSettled: boolean, result: BatchTally): FileOutcome | undefined {
    const fd = openBeneath(this.#task.root, path, this.#task);
    try {
      this.#before.ofOpen(fd);
      if (!this.#before.isRegular) throw new FileProblem('became-other');
      if (!linksSettled && this.#before.links > 1) {
        result.links.push({ path: withoutNul(path), inode: this.#before.inode });
        return undefined;
      }
      const label = fgetXattr(fd, this.#task.attribute);
      let known: Buffer | undefined;
      const found = this.#judge(fd, label, (algorithm) => {
        const digest = this.#reader.digest(fd, path, this.#digester(algorithm));
        if (algorithm === this.#task.digestsIn) known = digest;
        return digest;
      });
      const detail = known === undefined ? {} : { digest: known };
      result.files += 1;
      result.bytes += this.#before.size;
      if (found === undefined) return { change: 'good', ...detail };
      result.bad.push({ path: withoutNul(path), ...found });
      return { change: 'bad', ...detail };
    } finally {
      closeFile(fd);
    }
  }

  #digester(algorithm: DigestAlgorithm): FileDigester {
    const there = this.#digesters.get(algorithm);
    if (there !== undefined) return there;
    const made = fileDigester(algorithm);
    this.#digesters.set(algorithm, made);
    return made;
  }

  #judge(fd: number, label: Buffer | undefined, digestOf: DigestOf): Fault | undefined {
    if (label === undefined || label.length === 0) {
      return fault(this.#task.requireSignature ? 'IMA-signature-required' : 'missing-hash', 'a label', 'none');
    }
    const evmFault = this.#judgeEvm(fd);
    if (evmFault !== undefined) return evmFault;
    switch (label[0]) {
      case 0x01:
        return this.#judgeDigest(legacyAlgorithm(label), label.subarray(1), digestOf);
      case 0x04:
        return this.#judgeDigest(digestInfoByKernelId(label[1] ?? -1)?.name, label.subarray(2), digestOf);
      case 0x03:
        return this.#judgeSignature(label, digestOf);
      case 0x06:
        return this.#judgeVerity(fd, label);
      default:
        return fault('unknown-ima-data', 'a digest or a signature', `an attribute of type ${label[0]}`);
    }
  }

  /** Before the label itself, as in ima_appraise_measurement. */
  #judgeEvm(fd: number): Fault | undefined {
    const { evmHmacKey: hmacKey } = this.#task;
    const keyring = this.#evmKeyring;
    if (hmacKey === undefined && keyring === undefined) return undefined;
    const { metadata, label: xattr } = readEvmMetadata(fd, { uuid: this.#uuids.of(fd, this.#before.device) });
    const keys = { ...(hmacKey === undefined ? {} : { hmacKey }), ...(keyring === undefined ? {} : { keyring }) };
    const { cause, fault: why } = appraiseEvm({ xattr, metadata, ...keys });
    if (cause === undefined) return undefined;
    const found = xattr === undefined ? 'none' : (why ?? 'one that does not');
    return fault(cause, 'security.evm that covers these attributes, owner and mode', found);
  }

  #judgeDigest(algorithm: DigestAlgorithm | undefined, expected: Buffer, digestOf: DigestOf): Fault | undefined {
    if (this.#task.requireSignature) return fault('IMA-signature-required', 'a signature', 'a digest');
    if (algorithm === undefined) return fault('invalid-hash', 'a known digest algorithm', toHex(expected));
    const found = digestOf(algorithm);
    // The kernel too looks at as much of the label as the digest is long.
    if (bytesEqual(found, expected.subarray(0, found.length))) return undefined;
    return fault('invalid-hash', `${algorithm}:${toHex(expected)}`, `${algorithm}:${toHex(found)}`);
  }

  #judgeSignature(label: Buffer, digestOf: DigestOf): Fault | undefined {
    return this.#withSignature(label, 'invalid-signature', (header) => {
      if (header.algorithm === undefined) return fault('invalid-signature', 'a known digest algorithm', 'another');
      return this.#verify(header, header.algorithm, digestOf(header.algorithm), 3, 'invalid-signature');
    });
  }

  /** Type 06: what is signed is the digest that fs-verity gives. */
  #judgeVerity(fd: number, label: Buffer): Fault | undefined {
    return this.#withSignature(label, 'invalid-verity-signature', (header) => {
      const measured = verityOf(fd);
      if (measured === undefined || measured.algorithm !== header.algorithm) {
        return fault('invalid-verity-signature', `fs-verity with ${header.algorithm ?? 'another algorithm'}`, 'none');
      }
      return this.#verify(header, measured.algorithm, measured.digest, 6, 'invalid-verity-signature');
    });
  }

  #withSignature(
    label: Buffer,
    cause: AppraiseCause,
    judge: (header: ReturnType<typeof parseSignature>) => Fault | undefined,
  ): Fault | undefined {
    try {
      return judge(parseSignature(label.subarray(1), 1));
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      const isVersion = (label[1] ?? 0) < 1 || (label[1] ?? 0) > 3;
      return fault(isVersion ? 'invalid-signature-version' : cause, 'a signature', error.message);
    }
  }

  #verify(
    header: ReturnType<typeof parseSignature>,
    algorithm: DigestAlgorithm,
    digest: Buffer,
    type: number,
    cause: AppraiseCause,
  ): Fault | undefined {
    const verdict = verifySignature(this.#keyring, header, { algorithm, digest, type });
    if (verdict.valid) return undefined;
    const id = typeof header.keyId === 'number' ? formatKeyId(header.keyId) : toHex(header.keyId);
    const expected = `a signature by ${verdict.key?.name ?? `key ${id}`} over ${algorithm}:${toHex(digest)}`;
    return fault(cause, expected, FAULTS[verdict.fault]);
  }
}

function keyringOf(files: readonly KeyFileBytes[]): Keyring {
  return new Keyring(files.flatMap(({ bytes, source }) => readPublicKeys(bytes, { source })));
}

/** Digests of type 01 carry no algorithm: md5 is shorter, or padded with zeros to the size of sha1 (ima_appraise.c, ima_get_hash_algo). */
function legacyAlgorithm(label: Buffer): DigestAlgorithm | undefined {
  if (label.length === 17) return 'md5';
  if (label.length === 21) return label.readUInt32LE(17) === 0 ? 'md5' : 'sha1';
  return undefined;
}

const FAULTS = {
  'invalid-signature': 'another content or another key’s signature',
  'unknown-key': 'no key of that id in the keyring',
  'blacklisted-key': 'a key that is blacklisted',
  'unsupported-algorithm': 'an algorithm that cannot be computed here',
} as const;

function verityOf(fd: number): ReturnType<typeof verityDigest> {
  try {
    return verityDigest(fd);
  } catch (error) {
    if (error instanceof SysError) return undefined;
    throw error;
  }
}
