/** A public key in any form that tpm2-tools write: `-u` (TPM2B_PUBLIC), `-f tpmt` (TPMT_PUBLIC), `-f pem` and `-f der`. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { decode, encode } from '../codec.ts';
import { TpmError, TpmParseError } from '../errors.ts';
import { publicKeyOf } from '../public-key.ts';
import { TPM2B_PUBLIC, TPMT_PUBLIC } from '../structures.ts';

export interface PublicFile {
  readonly key: KeyObject;
  /** Missing in PEM and DER files, which say nothing of the key's attributes. */
  readonly area: TPMT_PUBLIC | undefined;
}

/** @throws {TpmError} `tpm.malformed` where it is none of these */
export function readPublicFile(bytes: Uint8Array): PublicFile {
  try {
    const area = tryDecode(bytes);
    if (area !== undefined) return { key: publicKeyOf(area), area };
    const isPem = Buffer.from(bytes.subarray(0, 10)).toString('latin1').startsWith('-----BEGIN');
    const key = isPem
      ? createPublicKey({ key: Buffer.from(bytes), format: 'pem' })
      : createPublicKey({ key: Buffer.from(bytes), format: 'der', type: 'spki' });
    return { key, area: undefined };
  } catch (cause) {
    throw new TpmError('tpm.malformed', 'this is no public key', {
      advice: 'give a TPM2B_PUBLIC or TPMT_PUBLIC as tpm2-tools write it, PEM or DER',
      exitCode: 2,
      cause,
    });
  }
}

function tryDecode(bytes: Uint8Array): TPMT_PUBLIC | undefined {
  for (const codec of [TPM2B_PUBLIC, TPMT_PUBLIC]) {
    try {
      return decode(codec, bytes);
    } catch (error) {
      if (!(error instanceof TpmParseError)) throw error;
    }
  }
  return undefined;
}

/** The file of `tpm2_create -u`, `tpm2_createak -u`, `tpm2_readpublic -o`. */
export function writePublicFile(area: TPMT_PUBLIC): Uint8Array {
  return encode(TPM2B_PUBLIC, area);
}
