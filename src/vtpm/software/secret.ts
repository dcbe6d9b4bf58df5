/** Secrets that are shared with an asymmetric key (Part 1, B.10 and C.6; Part 4, CryptSecretEncrypt, CryptSecretDecrypt). */
import { digestInfo } from '../../bytes/index.ts';
import {
  encode,
  isAsymmetric,
  KDFe,
  ProfiledReader,
  type SecretLabel,
  type SharedSecret,
  TPMS_ECC_POINT,
  type TPMT_RSA_DECRYPT,
} from '../../tpm/index.ts';
import { CURVES } from './curves.ts';
import { isOnCurve, multiply, toBigInt, toBytes } from './ecc.ts';
import { eccKey } from './key-generation.ts';
import { PROFILE } from './profile.ts';
import { about, refuse, unmarshal } from './refusal.ts';
import { type RsaArea, rsaDecrypt, rsaEncrypt } from './rsa.ts';
import type { LoadedObject } from './state.ts';

type Random = (size: number) => Uint8Array;

/** OAEP's label ends with its NUL. */
const oaepLabel = (label: SecretLabel): Uint8Array => Buffer.from(`${label}\0`, 'latin1');

/** A fresh secret that only the holder of the private key can recover; the public area is enough. */
export function shareWith({ publicArea }: LoadedObject, label: SecretLabel, random: Random): SharedSecret {
  const { nameAlg } = publicArea;
  if (nameAlg === 'null') return refuse('HASH');
  const { size } = digestInfo(nameAlg);
  if (!isAsymmetric(publicArea)) return refuse('TYPE');
  if (publicArea.type === 'rsa') {
    const seed = random(size);
    const scheme = { scheme: 'oaep', hashAlg: nameAlg } as const;
    return { seed, secret: rsaEncrypt(publicArea, scheme, seed, oaepLabel(label)) };
  }
  const { curveID } = publicArea.parameters;
  if (!isOnCurve(curveID, publicArea.unique)) return refuse('KEY');
  const { d, x, y } = eccKey(curveID, (count) => Buffer.from(random(count)));
  const shared = multiply(curveID, d, publicArea.unique) ?? refuse('KEY');
  const seed = KDFe(nameAlg, shared.x, label, x, padded(curveID, publicArea.unique.x), size * 8);
  return { seed, secret: encode(TPMS_ECC_POINT, { x, y }) };
}

function padded(curve: keyof typeof CURVES, coordinate: Uint8Array): Uint8Array {
  const { size, p } = CURVES[curve];
  return toBytes(toBigInt(coordinate) % p, size);
}

/** @param field the parameter that holds the secret @throws {Refusal} where it does not decrypt */
export function recoverSecret(key: LoadedObject, label: SecretLabel, secret: Uint8Array, field: string): Uint8Array {
  const { publicArea, sensitive } = key;
  if (publicArea.type === 'rsa') return recoverRsa(key, publicArea, label, secret, field);
  if (publicArea.type !== 'ecc' || sensitive === undefined) return refuse('KEY', field);
  const { nameAlg, parameters, unique } = publicArea;
  if (nameAlg === 'null') return refuse('HASH', field);
  const { curveID } = parameters;
  const ephemeral = unmarshal(field, () => TPMS_ECC_POINT.read(new ProfiledReader(secret, PROFILE)));
  if (!isOnCurve(curveID, ephemeral)) refuse('ECC_POINT', field);
  const shared = multiply(curveID, sensitive.sensitive, ephemeral) ?? refuse('NO_RESULT');
  const [x, ownX] = [padded(curveID, ephemeral.x), padded(curveID, unique.x)];
  return KDFe(nameAlg, shared.x, label, x, ownX, digestInfo(nameAlg).size * 8);
}

/** The key's own scheme has to be OAEP, or left open. */
function recoverRsa(
  key: LoadedObject,
  { nameAlg, parameters }: RsaArea,
  label: SecretLabel,
  secret: Uint8Array,
  field: string,
): Uint8Array {
  const own = parameters.scheme;
  const hashAlg = own.scheme === 'null' ? nameAlg : own.scheme === 'oaep' ? own.hashAlg : 'null';
  if (hashAlg === 'null') return refuse('SCHEME', field);
  const scheme: TPMT_RSA_DECRYPT = { scheme: 'oaep', hashAlg };
  const seed = about(field, () => rsaDecrypt(key, scheme, secret, oaepLabel(label)));
  return seed.length <= digestInfo(hashAlg).size ? seed : refuse('VALUE', field);
}
