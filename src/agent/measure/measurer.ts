import { closeSync, constants, openSync } from 'node:fs';
import { type Unmeasured, unmeasuredDigest } from '../../evidence/index.ts';
import { hashContent, identityKey, identityOf } from '../../sys/index.ts';
import { type FileState, type InUse, type Place, placeOf } from './place.ts';

/** A file that ran, runs or is mapped, with the content that is in use. Fits `HostFile` of the reference room. */
export interface MeasuredFile {
  readonly path: Uint8Array;
  /** SHA-256 of the content. */
  readonly sha256: Uint8Array;
  /** Of the same read, where the measurer was asked for it. */
  readonly md5?: Uint8Array;
  readonly state: FileState;
  /** Why its content has no digest: `sha256` is then a marker that stands for no content, never to be approved. */
  readonly unmeasured?: Unmeasured;
}

/** Told of each file that is about to be touched: what lies on a file system that does not answer holds this thread up. */
export interface Progress {
  readonly begin: (name: string) => void;
  readonly moved: () => void;
  readonly end: () => void;
}

export interface FileMeasurerOptions {
  /** Compute MD5 along with SHA-256, for a comparison with dpkg's checksums. */
  readonly md5?: boolean;
  /** Bytes; left out: MAX_HASHED. */
  readonly limit?: number;
  /** Files, as the kernel names them, that are not to be touched. */
  readonly unanswered?: ReadonlySet<string>;
  readonly progress?: Progress;
}

const UNWATCHED: Progress = { begin: () => undefined, moved: () => undefined, end: () => undefined };

export interface Measurement {
  readonly file: MeasuredFile;
  /** This path with this digest was not given out before. */
  readonly isNew: boolean;
}

/**
 * Within this time of its last change a file may change again without a new ctime (the kernel's clock for it ticks every
 * 1–10 ms), so its digest is not kept: git calls such a file racily clean.
 */
const SETTLED_NS = 50_000_000n;

/** Bounds what is remembered; beyond it the memory starts anew, at the price of hashing again. */
const MAX_REMEMBERED = 200_000;

/**
 * Hashes files in use, by IMA's rule: a file whose device, inode, size, times and path are as they were is not measured
 * again (kernel: ima_main.c:process_measurement), and a (path, digest) is new once.
 */
export class FileMeasurer {
  readonly #withMd5: boolean;
  readonly #limit: number | undefined;
  readonly #byIdentity = new Map<string, MeasuredFile>();
  readonly #given = new Set<string>();
  readonly #unanswered: ReadonlySet<string>;
  readonly #progress: Progress;

  constructor(options: FileMeasurerOptions = {}) {
    this.#withMd5 = options.md5 ?? false;
    this.#limit = options.limit;
    this.#unanswered = options.unanswered ?? new Set();
    this.#progress = options.progress ?? UNWATCHED;
  }

  /**
   * Runs `work`, which looks at the file of this name (one character a byte) and may wait for its file system; a file
   * that gave nothing before is `unreadable` at once.
   */
  touching<T>(name: string, work: () => T): T | Measurement {
    if (this.#unanswered.has(name)) return this.giveUnmeasured(name, 'unreadable');
    this.#progress.begin(name);
    try {
      return work();
    } finally {
      this.#progress.end();
    }
  }

  /**
   * @param content a path that opens the very content in use: /proc/PID/map_files/…, /proc/self/fd/…, /proc/PID/exe
   * @returns undefined for what is no program's file
   * @throws the error of `open` or `read` where the content cannot be read
   */
  measure(inUse: InUse, content: string | number): Measurement | undefined {
    if (!inUse.stats.isFile()) return undefined;
    const place = placeOf(inUse);
    if (place === undefined) return undefined;
    return this.#give(this.#hashed(inUse, place, content));
  }

  /** An entry in place of a measurement. @param path one character a byte, or the name of what is no file */
  giveUnmeasured(path: string, why: Unmeasured, detail = 0n): Measurement {
    const sha256 = unmeasuredDigest(why, detail);
    return this.#give({ path: Buffer.from(path, 'latin1'), sha256, state: 'elsewhere', unmeasured: why });
  }

  #give(file: MeasuredFile): Measurement {
    const given = Buffer.concat([file.path, Buffer.of(0), file.sha256]).toString('latin1');
    const isNew = !this.#given.has(given);
    if (isNew) {
      if (this.#given.size >= MAX_REMEMBERED) this.#given.clear();
      this.#given.add(given);
    }
    return { file, isNew };
  }

  #hashed(inUse: InUse, place: Place, content: string | number): MeasuredFile {
    const suffix = `${place.state}${place.path}`;
    const known = this.#byIdentity.get(identityKey(identityOf(inUse.stats)) + suffix);
    if (known !== undefined) return known;
    const { digests, identity } = this.#read(content);
    const path = Buffer.from(place.path, 'latin1');
    const file: MeasuredFile =
      digests === undefined
        ? { path, sha256: unmeasuredDigest('too-long', identity.size), state: place.state, unmeasured: 'too-long' }
        : { path, ...digests, state: place.state };
    const isSettled = BigInt(Date.now()) * 1_000_000n - identity.ctimeNs > SETTLED_NS;
    if (isSettled) {
      if (this.#byIdentity.size >= MAX_REMEMBERED) this.#byIdentity.clear();
      this.#byIdentity.set(identityKey(identity) + suffix, file);
    }
    return file;
  }

  #read(content: string | number) {
    const algorithms = this.#withMd5 ? (['sha256', 'md5'] as const) : (['sha256'] as const);
    if (typeof content === 'number') return hashContent(content, algorithms, this.#limit, this.#progress.moved);
    const fd = openSync(content, constants.O_RDONLY);
    try {
      return hashContent(fd, algorithms, this.#limit, this.#progress.moved);
    } finally {
      closeSync(fd);
    }
  }
}
