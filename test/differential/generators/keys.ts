/** Keys that both TPMs get alike: sensitive areas made here, for TPM2_LoadExternal and TPM2_Import. */
import { createHmac } from 'node:crypto';
import { digest, digestInfo } from '../../../src/bytes/index.ts';
import type { TPMT_PUBLIC, TPMT_SENSITIVE } from '../../../src/tpm/index.ts';
import { CURVES } from '../../../src/vtpm/software/curves.ts';
import { multiply, toBigInt, toBytes } from '../../../src/vtpm/software/ecc.ts';
import { derivedStream, type RsaKey, rsaKey } from '../../../src/vtpm/software/key-generation.ts';
import type { Random } from '../random.ts';

const NONE = new Uint8Array(0);

const rsaKeys = new Map<number, RsaKey>();

/** One of each size: primes take long to find. */
function rsaKeyOf(keyBits: number): RsaKey {
  const known = rsaKeys.get(keyBits);
  if (known !== undefined) return known;
  const made = rsaKey(keyBits, 0, derivedStream(Buffer.from('differential'), 'RSA', NONE, NONE));
  rsaKeys.set(keyBits, made);
  return made;
}

export interface Pair {
  readonly area: TPMT_PUBLIC;
  readonly sensitive: TPMT_SENSITIVE;
}

/** Fills a template. */
export function keyFor(template: TPMT_PUBLIC, authValue: Uint8Array, random: Random): Pair {
  const { nameAlg } = template;
  const seed = nameAlg === 'null' ? NONE : random.bytes(digestInfo(nameAlg).size);
  const isParent = template.objectAttributes.restricted === true && template.objectAttributes.decrypt === true;
  const asymmetric = { authValue, seedValue: isParent ? seed : NONE };
  const symmetric = { authValue, seedValue: seed };
  switch (template.type) {
    case 'rsa': {
      const { n, p } = rsaKeyOf(template.parameters.keyBits);
      return { area: { ...template, unique: n }, sensitive: { ...asymmetric, sensitiveType: 'rsa', sensitive: p } };
    }
    case 'ecc': {
      const { curveID } = template.parameters;
      const { n, size } = CURVES[curveID];
      const d = toBytes((toBigInt(random.bytes(size)) % (n - 1n)) + 1n, size);
      const point = multiply(curveID, d) ?? { x: NONE, y: NONE };
      return { area: { ...template, unique: point }, sensitive: { ...asymmetric, sensitiveType: 'ecc', sensitive: d } };
    }
    case 'keyedhash': {
      const sensitive = {
        ...symmetric,
        sensitiveType: 'keyedhash',
        sensitive: random.bytes(1 + random.int(48)),
      } as const;
      return { area: { ...template, unique: uniqueOf(template, sensitive) }, sensitive };
    }
    case 'symcipher': {
      const { keyBits } = template.parameters.sym;
      const sensitive = { ...symmetric, sensitiveType: 'symcipher', sensitive: random.bytes(keyBits / 8) } as const;
      return { area: { ...template, unique: uniqueOf(template, sensitive) }, sensitive };
    }
  }
}

/** Part 1, 27.5.3.4 */
function uniqueOf({ nameAlg, objectAttributes }: TPMT_PUBLIC, { seedValue, sensitive }: TPMT_SENSITIVE): Uint8Array {
  if (nameAlg === 'null') return NONE;
  if (!objectAttributes.restricted || !objectAttributes.decrypt) return digest(nameAlg, seedValue, sensitive);
  return createHmac(digestInfo(nameAlg).opensslName, seedValue).update(sensitive).digest();
}
