import { createHash, hash } from 'node:crypto';
import { AssayError } from './error.ts';

/** A digest algorithm by its kernel name (`crypto/hash_info.c`), which TPM tools use too. */
export type DigestAlgorithm =
  | 'md5'
  | 'sha1'
  | 'rmd160'
  | 'sha224'
  | 'sha256'
  | 'sha384'
  | 'sha512'
  | 'sm3'
  | 'sha3-256'
  | 'sha3-384'
  | 'sha3-512';

export interface DigestInfo {
  readonly name: DigestAlgorithm;
  /** Digest length in bytes. */
  readonly size: number;
  /** TPM_ALG_ID (TCG Algorithm Registry), where the TPM has one. */
  readonly tpmAlg: number | undefined;
  /** `enum hash_algo` of the kernel's uapi `hash_info.h`. */
  readonly kernelId: number;
  /** OpenSSL's name, as node:crypto takes it. */
  readonly opensslName: string;
}

const REGISTRY: readonly DigestInfo[] = [
  { name: 'md5', size: 16, tpmAlg: undefined, kernelId: 1, opensslName: 'md5' },
  { name: 'sha1', size: 20, tpmAlg: 0x0004, kernelId: 2, opensslName: 'sha1' },
  { name: 'rmd160', size: 20, tpmAlg: undefined, kernelId: 3, opensslName: 'ripemd160' },
  { name: 'sha256', size: 32, tpmAlg: 0x000b, kernelId: 4, opensslName: 'sha256' },
  { name: 'sha384', size: 48, tpmAlg: 0x000c, kernelId: 5, opensslName: 'sha384' },
  { name: 'sha512', size: 64, tpmAlg: 0x000d, kernelId: 6, opensslName: 'sha512' },
  { name: 'sha224', size: 28, tpmAlg: undefined, kernelId: 7, opensslName: 'sha224' },
  { name: 'sm3', size: 32, tpmAlg: 0x0012, kernelId: 17, opensslName: 'sm3' },
  { name: 'sha3-256', size: 32, tpmAlg: 0x0027, kernelId: 20, opensslName: 'sha3-256' },
  { name: 'sha3-384', size: 48, tpmAlg: 0x0028, kernelId: 21, opensslName: 'sha3-384' },
  { name: 'sha3-512', size: 64, tpmAlg: 0x0029, kernelId: 22, opensslName: 'sha3-512' },
];

const BY_NAME = new Map(REGISTRY.map((info) => [info.name as string, info]));
const BY_TPM_ALG = new Map(REGISTRY.flatMap((info) => (info.tpmAlg === undefined ? [] : [[info.tpmAlg, info]])));
const BY_KERNEL_ID = new Map(REGISTRY.map((info) => [info.kernelId, info]));

export class DigestAlgorithmError extends AssayError {
  readonly code = 'digest.unsupported';

  constructor(name: string) {
    super(`digest algorithm '${name}' is not supported`, {
      advice: `use one of ${REGISTRY.map((info) => info.name).join(', ')}`,
    });
  }
}

/** Every algorithm that Assay can compute, in the kernel's order. */
export function digestAlgorithms(): readonly DigestInfo[] {
  return REGISTRY;
}

/** Looks an algorithm up by name. @throws {DigestAlgorithmError} for a name that is not in the registry */
export function digestInfo(name: string): DigestInfo {
  const info = BY_NAME.get(name);
  if (info === undefined) throw new DigestAlgorithmError(name);
  return info;
}

/** True where `name` is an algorithm that Assay can compute. */
export function isDigestAlgorithm(name: string): name is DigestAlgorithm {
  return BY_NAME.has(name);
}

export function digestInfoByTpmAlg(alg: number): DigestInfo | undefined {
  return BY_TPM_ALG.get(alg);
}

export function digestInfoByKernelId(id: number): DigestInfo | undefined {
  return BY_KERNEL_ID.get(id);
}

/** H(parts[0] ‖ parts[1] ‖ …). */
export function digest(algorithm: DigestAlgorithm, ...parts: readonly Uint8Array[]): Buffer {
  const { opensslName } = digestInfo(algorithm);
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return hash(opensslName, only, 'buffer');
  const state = createHash(opensslName);
  for (const part of parts) state.update(part);
  return state.digest();
}
