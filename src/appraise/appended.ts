/** The signature that is appended to a file, read from its end: the file itself may be large. */
import { type DigestAlgorithm, ParseError } from '../bytes/index.ts';
import {
  type Keyring,
  kernelLimit,
  MODSIG_TAIL_SIZE,
  modsigAlgorithm,
  modsigLength,
  verifyModsig,
} from '../digsig/index.ts';
import type { AppendedJudge } from '../ima/index.ts';
import type { StableReader } from './stable-reader.ts';

/** A PKCS#7 of one signer and no certificate has some 500 bytes. */
const MAX_PKCS7_SIZE = 1 << 20;

/**
 * @param fd open; its position is left alone
 * @returns undefined where nothing that can be parsed is appended: to the kernel the file then is like any other
 *   (ima_read_modsig)
 */
export function appendedJudge(
  reader: StableReader,
  fd: number,
  size: number,
  keyring: Keyring,
): AppendedJudge | undefined {
  const found = readPkcs7(reader, fd, size);
  if (found === undefined) return undefined;
  const { pkcs7, contentSize, algorithm } = found;
  const known = new Map<DigestAlgorithm, Buffer>();
  const digestOf = (wanted: DigestAlgorithm): Buffer => {
    const digest = known.get(wanted) ?? reader.beginning(fd, contentSize, wanted);
    known.set(wanted, digest);
    return digest;
  };
  return {
    fault() {
      const verdict = verifyModsig(keyring, pkcs7, digestOf);
      if (!verdict.valid) return verdict.fault;
      // Its key is found by certificate, not by id.
      return algorithm === undefined ? undefined : kernelLimit(verdict.key, algorithm);
    },
    digest: () => (algorithm === undefined ? undefined : digestOf(algorithm)),
  };
}

interface Appended {
  readonly pkcs7: Buffer;
  readonly contentSize: number;
  readonly algorithm: DigestAlgorithm | undefined;
}

function readPkcs7(reader: StableReader, fd: number, size: number): Appended | undefined {
  const tailSize = Math.min(size, MODSIG_TAIL_SIZE);
  try {
    const length = modsigLength(reader.at(fd, size - tailSize, tailSize), size);
    if (length === undefined || length > MAX_PKCS7_SIZE) return undefined;
    const contentSize = size - tailSize - length;
    const pkcs7 = reader.at(fd, contentSize, length);
    return { pkcs7, contentSize, algorithm: modsigAlgorithm(pkcs7) };
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}
