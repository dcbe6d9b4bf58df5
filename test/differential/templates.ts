/** Public areas of every kind of object, mostly such as a TPM takes. */
import type { TPMT_PUBLIC } from '../../src/tpm/index.ts';
import type { Recipe } from './policies.ts';
import type { Random } from './random.ts';

type Attributes = TPMT_PUBLIC['objectAttributes'];
type Area<T extends TPMT_PUBLIC['type']> = Extract<TPMT_PUBLIC, { type: T }>;

export const HASHES = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
export type Hash = (typeof HASHES)[number];

const NONE = new Uint8Array(0);

/** What an object is for. */
export type Purpose = 'storage' | 'sign' | 'decrypt' | 'both' | 'seal' | 'derive';

export interface Template {
  readonly area: TPMT_PUBLIC;
  readonly purpose: Purpose;
}

/** Curves of everyday use, and seldom one of the others: these are slow. */
function curve(random: Random) {
  return random.chance(0.9)
    ? random.of('p256', 'p256', 'p384')
    : random.of('p521', 'p192', 'p224', 'bn_p256', 'sm2_p256');
}

function cipher(random: Random) {
  const algorithm = random.of('aes', 'aes', 'camellia');
  return { algorithm, keyBits: random.of(128, 256), mode: 'cfb' } as const;
}

function attributesOf(purpose: Purpose, random: Random): Attributes {
  const isFixed = random.chance(0.6);
  const fixed = isFixed ? { fixedTPM: true, fixedParent: true } : {};
  const common: Attributes = { ...fixed, userWithAuth: random.chance(0.95), noDA: random.chance(0.7) };
  const rest = random.chance(0.05) ? { stClear: true } : {};
  switch (purpose) {
    case 'storage':
    case 'derive':
      return { ...common, ...rest, restricted: true, decrypt: true };
    case 'sign':
      return { ...common, ...rest, sign: true, ...(random.chance(0.2) ? { restricted: true } : {}) };
    case 'decrypt':
      return { ...common, ...rest, decrypt: true };
    case 'both':
      return { ...common, ...rest, sign: true, decrypt: true };
    case 'seal':
      return { ...common, ...rest };
  }
}

function eccScheme(purpose: Purpose, isRestricted: boolean, random: Random): Area<'ecc'>['parameters']['scheme'] {
  const hashAlg = random.of('sha256', 'sha256', 'sha1', 'sha384');
  if (purpose === 'sign') {
    const scheme = random.of('ecdsa', 'ecdsa', 'ecdaa', 'ecschnorr', 'sm2', 'null');
    if (scheme === 'null') return isRestricted ? { scheme: 'ecdsa', hashAlg } : { scheme };
    return scheme === 'ecdaa' ? { scheme, hashAlg, count: 1 } : { scheme, hashAlg };
  }
  if (purpose === 'decrypt')
    return random.of({ scheme: 'null' }, { scheme: 'ecdh', hashAlg }, { scheme: 'sm2', hashAlg });
  return { scheme: 'null' };
}

function rsaScheme(purpose: Purpose, isRestricted: boolean, random: Random): Area<'rsa'>['parameters']['scheme'] {
  const hashAlg = random.of('sha256', 'sha256', 'sha1');
  if (purpose === 'sign') {
    const scheme = random.of('rsassa', 'rsapss', 'null');
    if (scheme === 'null') return isRestricted ? { scheme: 'rsassa', hashAlg } : { scheme };
    return { scheme, hashAlg };
  }
  if (purpose === 'decrypt') return random.of({ scheme: 'null' }, { scheme: 'oaep', hashAlg }, { scheme: 'rsaes' });
  return { scheme: 'null' };
}

export interface TemplateOptions {
  readonly type?: TPMT_PUBLIC['type'];
  readonly purpose?: Purpose;
  readonly recipe?: Recipe | undefined;
  /** Added to what goes with the purpose; `false` clears. */
  readonly attributes?: Attributes;
  readonly keyBits?: number;
  readonly nameAlg?: Hash;
}

const PURPOSES: Readonly<Record<TPMT_PUBLIC['type'], readonly [Purpose, ...Purpose[]]>> = {
  rsa: ['sign', 'decrypt', 'both', 'storage'],
  ecc: ['sign', 'sign', 'decrypt', 'both', 'storage'],
  keyedhash: ['sign', 'seal', 'decrypt', 'derive'],
  symcipher: ['both', 'both', 'decrypt', 'sign', 'storage'],
};

/** Generated RSA keys take their time: type is only `rsa` where it is asked for. */
export function template(random: Random, options: TemplateOptions = {}): Template {
  const type = options.type ?? random.of('ecc', 'ecc', 'keyedhash', 'symcipher');
  const purpose = options.purpose ?? random.of(...PURPOSES[type]);
  const nameAlg =
    options.recipe?.hash ?? options.nameAlg ?? random.of('sha256', 'sha256', 'sha256', 'sha1', 'sha384', 'sha512');
  const asked = { ...attributesOf(purpose, random), sensitiveDataOrigin: true, ...options.attributes };
  const objectAttributes = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== false));
  const shared = { nameAlg, objectAttributes, authPolicy: options.recipe?.digest ?? NONE };
  return { purpose, area: areaOf(type, purpose, shared, random, options) };
}

function areaOf(
  type: TPMT_PUBLIC['type'],
  purpose: Purpose,
  shared: Pick<TPMT_PUBLIC, 'nameAlg' | 'objectAttributes' | 'authPolicy'>,
  random: Random,
  { keyBits = 1024 }: TemplateOptions,
): TPMT_PUBLIC {
  const isRestricted = shared.objectAttributes.restricted === true;
  const symmetric = purpose === 'storage' ? cipher(random) : ({ algorithm: 'null' } as const);
  switch (type) {
    case 'rsa': {
      const scheme = rsaScheme(purpose, isRestricted, random);
      return { ...shared, type, parameters: { symmetric, scheme, keyBits, exponent: 0 }, unique: NONE };
    }
    case 'ecc': {
      const scheme = eccScheme(purpose, isRestricted, random);
      const kdf = { scheme: 'null' } as const;
      const parameters = { symmetric, scheme, curveID: curve(random), kdf };
      return { ...shared, type, parameters, unique: { x: NONE, y: NONE } };
    }
    case 'keyedhash': {
      const hashAlg = random.of('sha256', 'sha256', 'sha1', 'sha512');
      const xor = { scheme: 'xor', hashAlg, kdf: 'kdf1_sp800_108' } as const;
      const scheme =
        purpose === 'sign'
          ? ({ scheme: 'hmac', hashAlg } as const)
          : purpose === 'decrypt' || purpose === 'derive'
            ? xor
            : ({ scheme: 'null' } as const);
      const objectAttributes =
        purpose === 'seal' ? { ...shared.objectAttributes, sensitiveDataOrigin: false } : shared.objectAttributes;
      return { ...shared, objectAttributes: without(objectAttributes), type, parameters: { scheme }, unique: NONE };
    }
    case 'symcipher': {
      const isMac = purpose === 'sign' && random.chance(0.7);
      const mode = isMac
        ? 'cmac'
        : purpose === 'storage'
          ? 'cfb'
          : random.of('cfb', 'ctr', 'ofb', 'cbc', 'ecb', 'null');
      const sym: Area<'symcipher'>['parameters']['sym'] = random.chance(0.1)
        ? { algorithm: 'tdes', keyBits: random.of(128, 192), mode }
        : { ...cipher(random), mode };
      return { ...shared, type, parameters: { sym }, unique: NONE };
    }
  }
}

function without(attributes: Attributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== false));
}
