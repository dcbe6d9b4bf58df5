/** The algorithms that this TPM has (Part 2, 6.3 and 8.2; Part 4, AlgorithmCap.c). */
import { TPM_ALG, type TPMS_CAPABILITY_DATA } from '../../tpm/index.ts';

const ASYMMETRIC = { asymmetric: true, object: true } as const;
const CIPHER = { symmetric: true } as const;
const MODE = { symmetric: true, encrypting: true } as const;
const HASH = { hash: true } as const;
const SIGNING = { asymmetric: true, signing: true } as const;
const ENCRYPTING = { asymmetric: true, encrypting: true } as const;
const EXCHANGE = { asymmetric: true, method: true } as const;
const KDF = { hash: true, method: true } as const;

type AlgorithmProperty = Extract<TPMS_CAPABILITY_DATA, { capability: 'algs' }>['data'][number];

export const ALGORITHMS: readonly AlgorithmProperty[] = [
  { alg: TPM_ALG.rsa, algProperties: ASYMMETRIC },
  { alg: TPM_ALG.tdes, algProperties: CIPHER },
  { alg: TPM_ALG.sha1, algProperties: HASH },
  { alg: TPM_ALG.hmac, algProperties: { hash: true, signing: true } },
  { alg: TPM_ALG.aes, algProperties: CIPHER },
  { alg: TPM_ALG.mgf1, algProperties: KDF },
  { alg: TPM_ALG.keyedhash, algProperties: { hash: true, object: true, signing: true, encrypting: true } },
  { alg: TPM_ALG.xor, algProperties: { symmetric: true, hash: true } },
  { alg: TPM_ALG.sha256, algProperties: HASH },
  { alg: TPM_ALG.sha384, algProperties: HASH },
  { alg: TPM_ALG.sha512, algProperties: HASH },
  { alg: TPM_ALG.rsassa, algProperties: SIGNING },
  { alg: TPM_ALG.rsaes, algProperties: ENCRYPTING },
  { alg: TPM_ALG.rsapss, algProperties: SIGNING },
  { alg: TPM_ALG.oaep, algProperties: ENCRYPTING },
  { alg: TPM_ALG.ecdsa, algProperties: SIGNING },
  { alg: TPM_ALG.ecdh, algProperties: EXCHANGE },
  { alg: TPM_ALG.ecdaa, algProperties: SIGNING },
  { alg: TPM_ALG.sm2, algProperties: { asymmetric: true, signing: true, method: true } },
  { alg: TPM_ALG.ecschnorr, algProperties: SIGNING },
  { alg: TPM_ALG.ecmqv, algProperties: EXCHANGE },
  { alg: TPM_ALG.kdf1_sp800_56a, algProperties: KDF },
  { alg: TPM_ALG.kdf2, algProperties: KDF },
  { alg: TPM_ALG.kdf1_sp800_108, algProperties: KDF },
  { alg: TPM_ALG.ecc, algProperties: ASYMMETRIC },
  { alg: TPM_ALG.symcipher, algProperties: { object: true } },
  { alg: TPM_ALG.camellia, algProperties: CIPHER },
  { alg: TPM_ALG.cmac, algProperties: { symmetric: true, signing: true } },
  { alg: TPM_ALG.ctr, algProperties: MODE },
  { alg: TPM_ALG.ofb, algProperties: MODE },
  { alg: TPM_ALG.cbc, algProperties: MODE },
  { alg: TPM_ALG.cfb, algProperties: MODE },
  { alg: TPM_ALG.ecb, algProperties: MODE },
];

const NUMBERS: ReadonlySet<number> = new Set(ALGORITHMS.map(({ alg }) => alg));

export function isImplementedAlgorithm(alg: number): boolean {
  return NUMBERS.has(alg);
}
