import { hash } from 'node:crypto';
import { type DigestAlgorithm, digestInfo } from '../bytes/index.ts';
import { ImaError } from './error.ts';
import { MAX_PCR } from './scan.ts';

/** One PCR: its running value and, after it, the digest to extend with, so that an extend is one hash of one buffer. */
class Pcr {
  /** A live view of the running value. */
  readonly value: Buffer;
  readonly #size: number;
  readonly #buffer: Buffer;

  constructor(size: number) {
    this.#size = size;
    this.#buffer = Buffer.alloc(size * 2);
    this.value = this.#buffer.subarray(0, size);
  }

  /** PCR := H(PCR ‖ digest); a digest shorter than the bank's is padded with zeros. */
  extend(opensslName: string, digest: string): void {
    const buffer = this.#buffer;
    if (digest.length < this.#size) buffer.fill(0, this.#size);
    buffer.write(digest, this.#size, 'latin1');
    // A string of bytes costs a third of what a Buffer result does: it needs no backing store.
    buffer.write(hash(opensslName, buffer, 'binary'), 0, 'latin1');
  }
}

/** Whether a bank is extended with its own hash, or with SHA-1 padded: see `paddedBanks`, `unallocatedBanks`. */
export type BankContent = 'hashed' | 'padded' | 'unallocated';

/** One bank of PCRs during a replay. */
export class Bank {
  readonly algorithm: DigestAlgorithm;
  readonly padded: boolean;
  readonly size: number;
  /**
   * What a violation extends (kernel: ima_queue.c:ima_init_digests): banks whose algorithm the kernel has no name for get
   * only SHA-1's width of 0xFF; where it has the name and not the algorithm, the bank's width.
   */
  readonly violationDigest: string;
  readonly #opensslName: string;
  readonly #pcrs: (Pcr | undefined)[] = new Array(MAX_PCR + 1).fill(undefined);

  constructor(algorithm: DigestAlgorithm, content: BankContent) {
    const padded = content !== 'hashed';
    const info = digestInfo(algorithm);
    const sha1Size = digestInfo('sha1').size;
    if (padded && info.size < sha1Size) {
      throw new ImaError('ima.invalid-argument', `a SHA-1 digest does not fit into PCR bank ${algorithm}`);
    }
    this.algorithm = algorithm;
    this.padded = padded;
    this.size = info.size;
    this.violationDigest = '\xff'.repeat(content === 'padded' ? sha1Size : info.size);
    this.#opensslName = info.opensslName;
  }

  /** @param digest one character a byte */
  extend(pcr: number, digest: string): void {
    this.#at(pcr).extend(this.#opensslName, digest);
  }

  /** The running value, a live view; undefined where nothing was extended yet. */
  value(pcr: number): Buffer | undefined {
    return this.#pcrs[pcr]?.value;
  }

  /** @throws {ImaError} for a PCR or a size that this bank does not have */
  set(pcr: number, value: Uint8Array): void {
    if (value.length !== this.size || !Number.isInteger(pcr) || pcr < 0 || pcr > MAX_PCR) {
      const detail = `PCR ${pcr} of bank ${this.algorithm} cannot hold ${value.length} bytes`;
      throw new ImaError('ima.invalid-argument', detail);
    }
    this.#at(pcr).value.set(value);
  }

  /** True where the PCR holds `value`; one that was never extended holds zeros. */
  holds(pcr: number, value: Uint8Array): boolean {
    const running = this.#pcrs[pcr]?.value;
    if (running === undefined) return value.length === this.size && value.every((byte) => byte === 0);
    return running[0] === value[0] && running.equals(value);
  }

  /** Hex by PCR number, of the PCRs that were extended. */
  values(): Record<string, string> {
    return Object.fromEntries(
      this.#pcrs.flatMap((pcr, index) => (pcr === undefined ? [] : [[String(index), pcr.value.toString('hex')]])),
    );
  }

  #at(pcr: number): Pcr {
    const existing = this.#pcrs[pcr];
    if (existing !== undefined) return existing;
    const fresh = new Pcr(this.size);
    this.#pcrs[pcr] = fresh;
    return fresh;
  }
}
