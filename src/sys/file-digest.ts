/**
 * Digests of whole files. Where OpenSSL can be reached through koffi one call hashes a file that was read with one call
 * (a tenth of node:crypto's cost for the smallest files); otherwise node:crypto does.
 */
import { createHash } from 'node:crypto';
import { type DigestAlgorithm, digestInfo } from '../bytes/index.ts';
import { callFailed, SysError } from './error.ts';
import { errno, native } from './native.ts';

type Pointer = bigint | null;

const fetchDigest = native<[null, string, null], Pointer>(
  'void *EVP_MD_fetch(void *library, const char *name, const char *properties)',
);
const evpDigest = native<[Uint8Array, number, Uint8Array, null, Pointer, null], number>(
  'int EVP_Digest(const uint8_t *data, size_t count, _Out_ uint8_t *digest, void *size, void *type, void *engine)',
);
const clearErrors = native<[], void>('void ERR_clear_error()');
const readCall = native<[number, Uint8Array, number], number>(
  'int64_t read(int fd, _Out_ uint8_t *buffer, size_t count)',
);

/** In the second-level cache when it is hashed; a larger one is slower for large files. */
const BUFFER = Buffer.allocUnsafeSlow(1 << 18);

export interface FileDigester {
  readonly algorithm: DigestAlgorithm;
  /**
   * The digest of what is read from the descriptor's position to the end of the file.
   * @param size what the file's status says: spares the call that would find the end
   * @returns the digest (a copy) and the number of bytes that were hashed
   * @throws {SysError} what reading answers: EIO, EISDIR, …
   */
  digest(fd: number, size: number): { digest: Buffer; length: number };
}

function readSome(fd: number, at: number): number {
  const count = Number(readCall(fd, at === 0 ? BUFFER : BUFFER.subarray(at), BUFFER.length - at));
  if (count < 0) throw callFailed('read', `descriptor ${fd}`, errno());
  return count;
}

/** @throws {DigestAlgorithmError} @throws {SysError} `sys.unavailable` where this OpenSSL does not have it */
export function fileDigester(algorithm: DigestAlgorithm): FileDigester {
  const { opensslName, size: digestSize } = digestInfo(algorithm);
  const type = evpType(opensslName);
  if (type === undefined) createHashOrRefuse(algorithm);
  const out = Buffer.alloc(digestSize);
  const hashBuffer = (length: number): Buffer => {
    if (type === undefined) return createHash(opensslName).update(BUFFER.subarray(0, length)).digest();
    evpDigest(BUFFER, length, out, null, type, null);
    return Buffer.from(out);
  };
  return {
    algorithm,
    digest(fd, size) {
      let length = readSome(fd, 0);
      // A first read that stops short of the stated size may have met a pseudo file or a change: read to the end.
      while (length < BUFFER.length && (length !== size || length === 0)) {
        const count = length === 0 ? 0 : readSome(fd, length);
        if (count === 0) break;
        length += count;
      }
      return length < BUFFER.length ? { digest: hashBuffer(length), length } : hashRest(fd, opensslName);
    },
  };
}

/** The buffer is full and hashed with what follows. */
function hashRest(fd: number, opensslName: string): { digest: Buffer; length: number } {
  const state = createHash(opensslName);
  let length = 0;
  for (let count = BUFFER.length; count > 0; count = readSome(fd, 0)) {
    state.update(BUFFER.subarray(0, count));
    length += count;
  }
  return { digest: state.digest(), length };
}

function evpType(name: string): Pointer | undefined {
  try {
    const type = fetchDigest(null, name, null) ?? undefined;
    // What a refusal leaves in this thread's error queue would surface in an unrelated call of node:crypto.
    if (type === undefined) clearErrors();
    return type;
  } catch (error) {
    if (error instanceof SysError) return undefined;
    throw error;
  }
}

function createHashOrRefuse(algorithm: DigestAlgorithm): void {
  try {
    createHash(digestInfo(algorithm).opensslName);
  } catch (cause) {
    throw new SysError('sys.unavailable', `this OpenSSL does not compute ${algorithm}`, {
      advice: 'choose another digest algorithm',
      cause,
    });
  }
}
