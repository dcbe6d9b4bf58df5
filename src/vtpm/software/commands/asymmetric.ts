/** Asymmetric primitives: TPM 2.0 Part 3, 14. */
import { constants, diffieHellman, generateKeyPairSync, privateDecrypt, publicEncrypt } from 'node:crypto';
import { createRequire } from 'node:module';
import type * as Nist from '@noble/curves/nist.js';
import { digestInfo } from '../../../bytes/index.ts';
import {
  curveSize,
  padNumber,
  publicKeyOf,
  type TPMS_ECC_POINT,
  type TPMT_PUBLIC,
  type TPMT_RSA_DECRYPT,
} from '../../../tpm/index.ts';
import type { Handlers } from '../handler.ts';
import { privateKey } from '../private-key.ts';
import { refuse } from '../refusal.ts';
import { rawRsa } from '../sign.ts';
import type { LoadedObject } from '../state.ts';

const NONE = new Uint8Array(0);

type RsaArea = Extract<TPMT_PUBLIC, { type: 'rsa' }>;

/** Part 4, CryptRsaSelectScheme: the key's own scheme, else the caller's. */
function selectPadding(area: RsaArea, asked: TPMT_RSA_DECRYPT): TPMT_RSA_DECRYPT {
  const own = area.parameters.scheme;
  if (own.scheme === 'rsaes' || own.scheme === 'oaep') {
    const isSame =
      asked.scheme === own.scheme &&
      (asked.scheme !== 'oaep' || own.scheme !== 'oaep' || asked.hashAlg === own.hashAlg);
    return asked.scheme === 'null' || isSame ? own : refuse('SCHEME', 'inScheme');
  }
  return asked;
}

function checkLabel(label: Uint8Array): void {
  if (label.length > 0 && label.at(-1) !== 0) refuse('VALUE', 'label');
}

/** Options of node:crypto for a padding other than none. */
function paddingOptions(scheme: TPMT_RSA_DECRYPT, label: Uint8Array) {
  if (scheme.scheme !== 'oaep') return { padding: constants.RSA_PKCS1_PADDING };
  const { opensslName } = digestInfo(scheme.hashAlg);
  return {
    padding: constants.RSA_PKCS1_OAEP_PADDING,
    oaepHash: opensslName,
    ...(label.length > 0 ? { oaepLabel: Buffer.from(label) } : {}),
  };
}

function multiply(
  key: LoadedObject,
  area: Extract<TPMT_PUBLIC, { type: 'ecc' }>,
  point: TPMS_ECC_POINT,
): TPMS_ECC_POINT {
  let publicKey: ReturnType<typeof publicKeyOf>;
  try {
    publicKey = publicKeyOf({ ...area, unique: point });
  } catch {
    return refuse('ECC_POINT', 'inPoint');
  }
  const size = curveSize(area.parameters.curveID);
  const x = padNumber(diffieHellman({ privateKey: privateKey(key), publicKey }), size);
  return { x, y: productY(key, area, point, size) };
}

/** OpenSSL gives x alone: y comes from the product in JavaScript. */
function productY(
  key: LoadedObject,
  area: Extract<TPMT_PUBLIC, { type: 'ecc' }>,
  point: TPMS_ECC_POINT,
  size: number,
): Buffer {
  const { sensitive } = key;
  const curve = area.parameters.curveID;
  if (sensitive?.sensitiveType !== 'ecc' || (curve !== 'p256' && curve !== 'p384' && curve !== 'p521'))
    return refuse('KEY');
  const nist: typeof Nist = createRequire(import.meta.url)('@noble/curves/nist.js');
  const encoded = Buffer.concat([Buffer.of(4), padNumber(point.x, size), padNumber(point.y, size)]);
  const product = nist[curve].Point.fromBytes(encoded).multiply(
    BigInt(`0x${Buffer.from(sensitive.sensitive).toString('hex')}`),
  );
  return Buffer.from(product.toBytes(false).subarray(1 + size));
}

export const asymmetric = {
  /** 14.2 */
  TPM2_RSA_Encrypt(machine, { keyHandle, message, inScheme, label }) {
    const { publicArea } = machine.object(keyHandle);
    if (publicArea.type !== 'rsa') return refuse('KEY', 'keyHandle');
    if (!publicArea.objectAttributes.decrypt) refuse('ATTRIBUTES', 'keyHandle');
    checkLabel(label);
    const scheme = selectPadding(publicArea, inScheme);
    const key = publicKeyOf(publicArea);
    try {
      if (scheme.scheme !== 'null')
        return { outData: publicEncrypt({ key, ...paddingOptions(scheme, label) }, message) };
      const padded = padNumber(message, publicArea.unique.length);
      return { outData: publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, padded) };
    } catch {
      return refuse('VALUE', 'message');
    }
  },

  /** 14.3 */
  TPM2_RSA_Decrypt(machine, { keyHandle, cipherText, inScheme, label }) {
    const object = machine.object(keyHandle);
    const { publicArea } = object;
    if (publicArea.type !== 'rsa') return refuse('KEY', 'keyHandle');
    const { restricted, decrypt } = publicArea.objectAttributes;
    if (restricted || !decrypt) refuse('ATTRIBUTES', 'keyHandle');
    checkLabel(label);
    const scheme = selectPadding(publicArea, inScheme);
    if (cipherText.length !== publicArea.unique.length) refuse('SIZE', 'cipherText');
    const key = privateKey(object);
    try {
      if (scheme.scheme === 'null') return { message: rawRsa(key, cipherText) };
      return { message: privateDecrypt({ key, ...paddingOptions(scheme, label) }, cipherText) };
    } catch {
      return refuse('VALUE', 'cipherText');
    }
  },

  /** 14.4 */
  TPM2_ECDH_KeyGen(machine, { keyHandle }) {
    const { publicArea } = machine.object(keyHandle);
    if (publicArea.type !== 'ecc') return refuse('KEY', 'keyHandle');
    const publicKey = publicKeyOf(publicArea);
    const namedCurve = publicKey.asymmetricKeyDetails?.namedCurve ?? '';
    const ephemeral = generateKeyPairSync('ec', { namedCurve }).privateKey;
    const { x, y, d } = ephemeral.export({ format: 'jwk' });
    const number = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'base64url');
    const pubPoint = { x: number(x), y: number(y) };
    const area = { ...publicArea, unique: pubPoint };
    const sensitive = { sensitiveType: 'ecc', authValue: NONE, seedValue: NONE, sensitive: number(d) } as const;
    const object: LoadedObject = { ...machine.object(keyHandle), publicArea: area, sensitive };
    return { zPoint: multiply(object, area, publicArea.unique), pubPoint };
  },

  /** 14.5 */
  TPM2_ECDH_ZGen(machine, { keyHandle, inPoint }) {
    const object = machine.object(keyHandle);
    const { publicArea } = object;
    if (publicArea.type !== 'ecc') return refuse('KEY', 'keyHandle');
    const { restricted, decrypt } = publicArea.objectAttributes;
    if (restricted || !decrypt) refuse('ATTRIBUTES', 'keyHandle');
    const { scheme } = publicArea.parameters.scheme;
    if (scheme !== 'null' && scheme !== 'ecdh') refuse('SCHEME', 'keyHandle');
    return { outPoint: multiply(object, publicArea, inPoint) };
  },
} satisfies Handlers;
