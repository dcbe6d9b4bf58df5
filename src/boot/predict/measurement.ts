import { type DigestAlgorithm, digest, digestInfo, ParseError } from '../../bytes/index.ts';
import { BootError } from '../error.ts';
import type { BootEvent } from '../log.ts';
import { authenticodeDigest } from '../pe/index.ts';

/** What a boot will measure: one extend of one PCR. */
export interface Measurement {
  readonly pcr: number;
  /** What is measured, for people: `section .linux`, `grub_cmd: set timeout=0`. */
  readonly what: string;
  /** Where it comes from: a file's name, perhaps with a line, or `base log, event 12`. */
  readonly source: string;
  /** The bytes that the digest is over; an image is digested by Authenticode's rule. */
  readonly over: { readonly bytes: Uint8Array } | { readonly image: Uint8Array } | { readonly digests: BankDigests };
  /** The base log's record, where it is taken over as it is. */
  readonly event?: BootEvent;
}

/** A digest for each bank that has one. */
export type BankDigests = { readonly [bank in DigestAlgorithm]?: Uint8Array };

/** A file that a boot reads, with its name for what people are told. */
export interface BootFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** @throws {BootError} `boot.not-predictable` where the base log has no digest in that bank, or an image is none */
export function measurementDigest({ over, source }: Measurement, bank: DigestAlgorithm): Uint8Array {
  if ('bytes' in over) return digest(bank, over.bytes);
  if ('image' in over) return imageDigest(over.image, source, bank);
  const value = over.digests[bank];
  if (value === undefined) throw notPredictable(`${source}: has no ${bank} digest`);
  return value;
}

function imageDigest(image: Uint8Array, source: string, bank: DigestAlgorithm): Uint8Array {
  try {
    return authenticodeDigest(image, bank);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw notPredictable(`${source}: ${error.message}`);
  }
}

/** The PCR's value after these extends, from zero. */
export function extendAll(measurements: readonly Measurement[], bank: DigestAlgorithm, start?: Uint8Array): Uint8Array {
  let value: Uint8Array = start ?? new Uint8Array(digestInfo(bank).size);
  for (const measurement of measurements) value = digest(bank, value, measurementDigest(measurement, bank));
  return value;
}

export function notPredictable(message: string, advice?: string): BootError {
  return new BootError('boot.not-predictable', message, advice);
}

/** Text as EFI programs measure it: UTF-16, with its NUL. */
export function efiText(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'utf16le');
}
