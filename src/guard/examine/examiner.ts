/** Reads files for the thread that decides: digests, judges labels, writes them where the policy says so. */
import { FileSystemUuids, type JudgeKeys, LabelJudge } from '../../appraise/index.ts';
import { type DigestAlgorithm, digestInfo } from '../../bytes/index.ts';
import { EVM_XATTR, hmacLabel, readEvmMetadata } from '../../evm/index.ts';
import { encodeImaDigest, IMA_TYPE, IMA_XATTR, imaHashAlgorithm } from '../../ima/index.ts';
import {
  FileStatus,
  fgetXattr,
  fsetXattr,
  giveUpLease,
  hashContent,
  holdsReadLease,
  type LeaseTaken,
  SysError,
  takeReadLease,
  verityDigest,
} from '../../sys/index.ts';
import { stateText, wordsOf } from '../decision/file-table.ts';
import { judgePlace } from '../decision/places.ts';
import type { FileTask, PlannedTask } from '../decision/plans.ts';
import type { ExamineOrder, ExamineResult, FileHash, GuardFault, Measurement } from '../messages.ts';
import type { GuardMode } from '../mode.ts';
import { pathOfOpen } from '../open-path.ts';
import { type MeasuredFile, templateFields } from './template-fields.ts';

/** How long an execution waits for writers to go: the kernel would refuse it at once (ETXTBSY). */
const WRITERS_MS = 100;
const WRITERS_STEP_MS = 2;

/** Somebody who wants to write waits behind a lease for longer than this before the kernel takes it away. */
const LEASE_MS = 10_000;

const DEFAULT_HASH: DigestAlgorithm = 'sha256';
const DEFAULT_TEMPLATE = 'ima-ng';
/** `EVM_XATTR_PORTABLE_DIGSIG` */
const PORTABLE = 5;

/** The file is longer than there is time for now. */
export class Grown extends Error {
  readonly size: number;

  constructor(size: number) {
    super('the file has grown');
    this.size = size;
  }
}

/** Nobody waits for the file any more: thrown by who is told of each part that was read. */
export class Abandoned extends Error {}

/** What is read of one file, each digest once. */
class OpenFile {
  readonly fd: number;
  readonly status = new FileStatus();
  readonly label: Buffer | undefined;
  readonly #onRead: () => void;
  readonly #limit: number;
  readonly #digests = new Map<DigestAlgorithm, Buffer>();

  /** @param limit bytes */
  constructor(fd: number, limit: number, onRead: () => void) {
    this.fd = fd;
    this.status.ofOpen(fd);
    this.label = labelOf(fd);
    this.#limit = limit;
    this.#onRead = onRead;
  }

  digest(algorithm: DigestAlgorithm): Buffer {
    const known = this.#digests.get(algorithm);
    if (known !== undefined) return known;
    const { digests, identity } = hashContent(this.fd, [algorithm], this.#limit, this.#onRead);
    if (digests === undefined) throw new Grown(Math.max(Number(identity.size), this.#limit + 1));
    const digest = digests[algorithm];
    this.#digests.set(algorithm, digest);
    return digest;
  }

  get hasSignature(): boolean {
    const type = this.label?.[0];
    return type === IMA_TYPE.signature || type === IMA_TYPE.veritySignature || this.#hasPortableEvm;
  }

  get #hasPortableEvm(): boolean {
    return this.label !== undefined && fgetXattr(this.fd, EVM_XATTR)?.[0] === PORTABLE;
  }
}

/** A file system without attributes has no labels. */
function labelOf(fd: number): Buffer | undefined {
  try {
    return fgetXattr(fd, IMA_XATTR);
  } catch (error) {
    if (error instanceof SysError && (error.errno === 'EOPNOTSUPP' || error.errno === 'ENODATA')) return undefined;
    throw error;
  }
}

interface Found {
  good: number;
  bad: number;
  readonly faults: { readonly bit: number; readonly fault: GuardFault }[];
  readonly measurements: Measurement[];
  place?: 'good' | GuardFault;
  digest?: FileHash;
}

export class FileExaminer {
  readonly #keys: JudgeKeys;
  readonly #judge: LabelJudge;
  readonly #mode: GuardMode;
  readonly #imaHash: DigestAlgorithm;
  readonly #template: string;
  readonly #onRead: () => void;
  readonly #uuids = new FileSystemUuids();

  /**
   * @param onRead called after each part of a file that was read; may throw {@link Abandoned}
   * @throws {DigsigError} for keys that cannot be read
   */
  constructor(
    { keys, mode, template = DEFAULT_TEMPLATE }: { keys: JudgeKeys; mode: GuardMode; template?: string },
    onRead: () => void,
  ) {
    this.#keys = keys;
    this.#judge = new LabelJudge(keys);
    this.#mode = mode;
    this.#imaHash = keys.imaHash ?? DEFAULT_HASH;
    this.#template = template;
    this.#onRead = onRead;
  }

  /** @throws {Grown} @throws {Abandoned} */
  examine(order: ExamineOrder): ExamineResult {
    const began = performance.now();
    const { fd, job } = order;
    const lease = order.isExec ? waitForWriters(fd) : takeReadLease(fd);
    const found: Found = { good: 0, bad: 0, faults: [], measurements: [] };
    const after = new FileStatus();
    let isStable = false;
    let isSigned = false;
    try {
      const file = new OpenFile(fd, order.limit, this.#onRead);
      const before = stateText(wordsOf(file.status));
      isSigned = file.hasSignature;
      if (!(order.isExec && lease === 'writers')) {
        this.#doTasks(order, file, lease === 'writers', found);
        if (order.expected !== undefined && !isNew(order, file)) {
          found.place = judgePlace(order.expected, (algorithm) => file.digest(algorithm), isSigned);
        }
      }
      const isOurLease = lease === 'held' && (holdsReadLease(fd) || performance.now() - began < LEASE_MS);
      isStable = stateText(wordsOf(after.ofOpen(fd))) === before && isOurLease;
    } catch (error) {
      if (error instanceof Grown || error instanceof Abandoned) {
        if (lease === 'held') giveUpLease(fd);
        throw error;
      }
      failAll(order.tasks, found, error);
    }
    return {
      kind: 'examined',
      job,
      ...found,
      isStable,
      isSigned,
      hasWriters: lease === 'writers',
      isLeased: lease === 'held',
      status: wordsOf(after),
    };
  }

  #doTasks(order: ExamineOrder, file: OpenFile, hasWriters: boolean, found: Found): void {
    for (const { bit, task } of order.tasks) {
      switch (task.kind) {
        case 'appraise':
          this.#appraise(bit, task, order, file, found);
          break;
        case 'measure':
          // Who opens it to write is a writer already, and no violation by itself (ima_main.c:ima_rdwr_violation_check).
          this.#measure(bit, task, file, hasWriters && !order.isWriting && !order.isViolationTold, found);
          break;
        case 'audit': {
          const algorithm = this.#algorithmOf(file);
          found.digest = { algorithm, digest: Uint8Array.from(file.digest(algorithm)) };
          found.good |= bit;
          break;
        }
      }
    }
  }

  /** ima_appraise.c:ima_get_hash_algo */
  #algorithmOf(file: OpenFile): DigestAlgorithm {
    return imaHashAlgorithm(file.label, this.#imaHash) ?? this.#imaHash;
  }

  #appraise(
    bit: number,
    task: Extract<FileTask, { kind: 'appraise' }>,
    order: ExamineOrder,
    file: OpenFile,
    found: Found,
  ): void {
    const fault = isNew(order, file) ? undefined : this.#faultOf(task, order, file);
    if (fault !== undefined) found.faults.push({ bit, fault });
    if (fault === undefined || this.#isFixed(file)) found.good |= bit;
    else found.bad |= bit;
  }

  #faultOf(
    { type, algorithms, failUnverifiable }: Extract<FileTask, { kind: 'appraise' }>,
    { isUnverifiable }: ExamineOrder,
    file: OpenFile,
  ): GuardFault | undefined {
    const { result, found } = this.#judge.judge({
      fd: file.fd,
      device: file.status.device,
      label: file.label,
      type,
      digest: (algorithm) => file.digest(algorithm),
      // Appended signatures are looked for at what the kernel reads itself alone (ima_hook_supports_modsig).
      appended: () => undefined,
      isUnverifiable: isUnverifiable && failUnverifiable,
    });
    if (result.cause !== undefined) {
      const words = found === undefined ? {} : { expected: found.expected, found: found.found };
      return { op: result.op, cause: result.cause, ...words };
    }
    const algorithm = this.#algorithmOf(file);
    if (algorithms === undefined || algorithms.includes(algorithm)) return undefined;
    return { op: 'collect_data', cause: 'denied-hash-algorithm', expected: algorithms.join(' or '), found: algorithm };
  }

  /** ima_appraise_measurement: fix mode does not replace signatures. */
  #isFixed(file: OpenFile): boolean {
    if (this.#mode !== 'fix' || file.label?.[0] === IMA_TYPE.signature) return false;
    try {
      this.#writeLabel(file, this.#algorithmOf(file));
      return true;
    } catch (error) {
      if (error instanceof SysError) return false;
      throw error;
    }
  }

  #measure(
    bit: number,
    { template = this.#template, pcr, verity }: Extract<FileTask, { kind: 'measure' }>,
    file: OpenFile,
    isViolation: boolean,
    found: Found,
  ): void {
    const measured: MeasuredFile = {
      fd: file.fd,
      status: file.status,
      path: pathOfOpen(file.fd, file.status),
      label: file.label,
      digest: this.#measuredDigest(file, verity),
      evmXattrs: this.#keys.evmXattrs ?? [],
      sha1: () => file.digest('sha1'),
      imaHash: this.#imaHash,
    };
    const add = (about: MeasuredFile, isOne: boolean): void => {
      const fields = templateFields(template, about);
      if (fields === undefined) return;
      found.measurements.push({
        bit,
        pcr,
        template,
        fields: fields.map((one) => Uint8Array.from(one)),
        isViolation: isOne,
      });
    };
    if (isViolation) add({ ...measured, digest: undefined }, true);
    add(measured, false);
  }

  #measuredDigest(file: OpenFile, verity: boolean): NonNullable<MeasuredFile['digest']> {
    if (verity) {
      const digest = verityDigest(file.fd);
      // The kernel then lists zeros (ima_api.c:ima_collect_measurement).
      const zeros = { algorithm: this.#imaHash, digest: Buffer.alloc(digestInfo(this.#imaHash).size) };
      return { ...(digest ?? zeros), isVerity: true };
    }
    const algorithm = this.#algorithmOf(file);
    return { algorithm, digest: file.digest(algorithm), isVerity: false };
  }

  /**
   * Makes the label the digest of the content, where it is no signature (ima_appraise.c:ima_update_xattr).
   * @returns whether it was another one
   * @param limit bytes
   * @throws {SysError} @throws {Grown}
   */
  relabel(fd: number, limit: number): boolean {
    const file = new OpenFile(fd, limit, this.#onRead);
    return file.hasSignature ? false : this.#writeLabel(file, this.#imaHash);
  }

  #writeLabel(file: OpenFile, algorithm: DigestAlgorithm): boolean {
    const isLegacy = digestInfo(algorithm).kernelId <= digestInfo('sha1').kernelId;
    const label = encodeImaDigest(algorithm, file.digest(algorithm), { legacy: isLegacy });
    if (file.label?.equals(label) === true) return false;
    fsetXattr(file.fd, IMA_XATTR, label);
    this.#writeEvm(file);
    return true;
  }

  /** What a kernel with EVM does behind each attribute that is set (evm_main.c:evm_inode_post_setxattr). */
  #writeEvm({ fd, status }: OpenFile): void {
    const { evmHmacKey, evmXattrs: extraXattrs = [] } = this.#keys;
    if (evmHmacKey === undefined) return;
    const { metadata } = readEvmMetadata(fd, { uuid: this.#uuids.of(fd, status.device), extraXattrs });
    fsetXattr(fd, EVM_XATTR, hmacLabel(evmHmacKey, metadata, { extraXattrs }));
  }
}

/** What was made by this very open: the kernel knows (FMODE_CREATED), and we see an empty file that is to be written. */
const isNew = ({ isWriting }: ExamineOrder, { label, status }: OpenFile): boolean =>
  (label?.length ?? 0) === 0 && status.size === 0 && isWriting;

/** Sleeps this thread: it has nothing else to do. */
function waitForWriters(fd: number): LeaseTaken {
  const nothing = new Int32Array(new SharedArrayBuffer(4));
  for (let waited = 0; ; waited += WRITERS_STEP_MS) {
    const lease = takeReadLease(fd);
    if (lease !== 'writers' || waited >= WRITERS_MS) return lease;
    Atomics.wait(nothing, 0, 0, WRITERS_STEP_MS);
  }
}

/** The system's word for it. @throws what is no refusal of the system's */
function reasonOf(error: unknown): string {
  if (error instanceof SysError) return error.errno ?? error.message;
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  throw error;
}

/** What could not be read fails where it is appraised (ima_main.c:process_measurement), and is not measured. */
function failAll(tasks: readonly PlannedTask[], found: Found, error: unknown): void {
  const reason = reasonOf(error);
  for (const { bit, task } of tasks) {
    if (task.kind !== 'appraise' || (found.good & bit) !== 0 || (found.bad & bit) !== 0) continue;
    found.bad |= bit;
    found.faults.push({ bit, fault: { op: 'collect_data', cause: 'failed', found: reason } });
  }
}
