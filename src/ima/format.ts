import { type DigestAlgorithm, digestInfo } from '../bytes/index.ts';
import { ImaError } from './error.ts';
import { EntryScanner, MAX_PCR, MAX_TEMPLATE_NAME, u32 } from './scan.ts';
import { templateLayout } from './template.ts';

/** Template digest sizes that a binary list can have, and whose they are where the list does not say (it never does). */
const ALGORITHM_OF_SIZE: ReadonlyMap<number, DigestAlgorithm> = new Map([
  [20, 'sha1'],
  [32, 'sha256'],
  [48, 'sha384'],
  [64, 'sha512'],
  [28, 'sha224'],
  [16, 'md5'],
]);

/** Bytes of a list's head that always suffice to tell its form. */
export const FORMAT_PROBE_SIZE = 4 + 64 + 4 + MAX_TEMPLATE_NAME;

export type ListForm = { readonly form: 'binary'; readonly templateDigestSize: number } | { readonly form: 'ascii' };

/** The algorithm of template digests of `size` bytes; sm3 and sha3 share sizes with SHA-2 and must be named by the caller. */
export function templateAlgorithmOf(size: number): DigestAlgorithm {
  const algorithm = ALGORITHM_OF_SIZE.get(size);
  if (algorithm === undefined) throw new ImaError('ima.not-a-list', `no digest algorithm has ${size}-byte digests`);
  return algorithm;
}

/** Size of the template digests in a list made with `algorithm`. */
export function templateDigestSizeOf(algorithm: DigestAlgorithm): number {
  return digestInfo(algorithm).size;
}

/**
 * Tells a list's form by its first bytes: ASCII (`10 hex name …`), or binary with template digests of some size (the
 * default file has SHA-1's; `binary_runtime_measurements_sha256` and its like have their own).
 * @param head the list's beginning: at least {@link FORMAT_PROBE_SIZE} bytes, or all there are
 * @throws {ImaError} `ima.big-endian`, or `ima.not-a-list`
 */
export function detectListForm(head: Uint8Array): ListForm {
  if (/^ ?\d{1,2} [0-9a-f]/.test(Buffer.from(head.subarray(0, 8)).toString('latin1'))) return { form: 'ascii' };
  if (head.length >= 4) {
    refuseBigEndian(head);
    const sizes = [...ALGORITHM_OF_SIZE.keys()];
    const plausible = sizes.filter((size) => hasNameAt(head, size));
    const size = plausible.find((candidate) => hasKnownName(head, candidate)) ?? plausible[0];
    if (size !== undefined && u32(head, 0) <= MAX_PCR) return { form: 'binary', templateDigestSize: size };
  }
  throw new ImaError(
    'ima.not-a-list',
    'this is no IMA measurement list, neither binary nor ASCII (at byte 0)',
    'give a file such as /sys/kernel/security/ima/binary_runtime_measurements',
  );
}

/** PCR 1–23 in the first word's last byte, and zeros before: written big endian. PCR 0 reads the same both ways. */
function refuseBigEndian(head: Uint8Array): void {
  const last = head[3] ?? 0;
  if (head[0] === 0 && head[1] === 0 && head[2] === 0 && last > 0 && last <= MAX_PCR) {
    throw new ImaError(
      'ima.big-endian',
      'this measurement list is in big-endian byte order (at byte 0)',
      'boot that kernel with ima_canonical_fmt, which writes little endian',
    );
  }
}

function nameAt(head: Uint8Array, size: number): string | undefined {
  const at = 4 + size;
  if (at + 4 > head.length) return undefined;
  const length = u32(head, at);
  if (length === 0 || length > MAX_TEMPLATE_NAME || at + 4 + length > head.length) return undefined;
  const name = Buffer.from(head.subarray(at + 4, at + 4 + length)).toString('latin1');
  return /^[!-~]+$/.test(name) ? name : undefined;
}

function hasNameAt(head: Uint8Array, size: number): boolean {
  return nameAt(head, size) !== undefined;
}

function hasKnownName(head: Uint8Array, size: number): boolean {
  const name = nameAt(head, size);
  return name !== undefined && templateLayout(name).fields !== undefined;
}

/** A scanner for the list that begins with `head`. */
export function scannerFor(templateDigestSize: number): EntryScanner {
  templateAlgorithmOf(templateDigestSize);
  return new EntryScanner(templateDigestSize);
}
