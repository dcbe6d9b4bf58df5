/** Recovering a secret that was shared with one of this TPM's keys (Part 1, B.10.3 and C.6.2). */
import { constants, diffieHellman, privateDecrypt } from 'node:crypto';
import { digestInfo } from '../../bytes/index.ts';
import {
  curveSize,
  decode,
  KDFe,
  padNumber,
  publicKeyOf,
  type SecretLabel,
  TPMS_ECC_POINT,
  type TPMT_PUBLIC,
} from '../../tpm/index.ts';
import { privateKey } from './private-key.ts';
import { Refusal, refuse } from './refusal.ts';
import type { LoadedObject } from './state.ts';

/** @param field the parameter that holds the secret @throws {Refusal} `VALUE` where it does not decrypt */
export function recoverSecret(key: LoadedObject, label: SecretLabel, secret: Uint8Array, field: string): Uint8Array {
  const { publicArea } = key;
  try {
    if (publicArea.type === 'rsa') return recoverRsa(key, label, secret);
    if (publicArea.type === 'ecc') return recoverEcc(key, publicArea, label, secret);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    return refuse(publicArea.type === 'ecc' ? 'ECC_POINT' : 'VALUE', field);
  }
  return refuse('KEY', field);
}

function recoverRsa(key: LoadedObject, label: SecretLabel, secret: Uint8Array): Uint8Array {
  const { nameAlg } = key.publicArea;
  if (nameAlg === 'null') return refuse('KEY');
  const { opensslName } = digestInfo(nameAlg);
  const oaepLabel = Buffer.from(`${label}\0`, 'latin1');
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  return privateDecrypt({ key: privateKey(key), padding, oaepHash: opensslName, oaepLabel }, secret);
}

function recoverEcc(
  key: LoadedObject,
  publicArea: Extract<TPMT_PUBLIC, { type: 'ecc' }>,
  label: SecretLabel,
  secret: Uint8Array,
): Uint8Array {
  const { nameAlg, parameters, unique } = publicArea;
  if (nameAlg === 'null') return refuse('KEY');
  const size = curveSize(parameters.curveID);
  const ephemeral = decode(TPMS_ECC_POINT, secret);
  const publicKey = publicKeyOf({ ...publicArea, unique: ephemeral });
  const z = padNumber(diffieHellman({ privateKey: privateKey(key), publicKey }), size);
  const bits = digestInfo(nameAlg).size * 8;
  return KDFe(nameAlg, z, label, padNumber(ephemeral.x, size), padNumber(unique.x, size), bits);
}
