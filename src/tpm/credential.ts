/** TPM2_MakeCredential in software (TPM 2.0 Part 1, 24; Part 3, 12.6): binds a secret to an EK and an object's Name. */
import { createCipheriv, createHmac } from 'node:crypto';
import { digestInfo } from '../bytes/index.ts';
import { encode } from './codec.ts';
import { KDFa } from './crypto/kdf.ts';
import { TpmError } from './errors.ts';
import { isAsymmetric, shareSecret } from './secret-sharing.ts';
import { TPM2B_DIGEST, type TPMT_PUBLIC } from './structures.ts';

export interface Credential {
  /** TPMS_ID_OBJECT: the content of TPM2B_ID_OBJECT. */
  readonly credentialBlob: Uint8Array;
  /** The seed, encrypted to the EK: the content of TPM2B_ENCRYPTED_SECRET. */
  readonly secret: Uint8Array;
}

/**
 * Encrypts `credential` so that only the TPM which holds `ek` gives it back, and only while it also holds the object
 * named `objectName`.
 *
 * @param credential at most as long as the EK's name algorithm's digest
 * @throws {TpmError} `tpm.argument` for a credential that is too long, `tpm.unsupported` for an EK without AES-CFB
 */
export function makeCredential(ek: TPMT_PUBLIC, objectName: Uint8Array, credential: Uint8Array): Credential {
  const { nameAlg } = ek;
  if (nameAlg === 'null' || !isAsymmetric(ek)) {
    throw new TpmError('tpm.unsupported', 'the endorsement key is not an RSA or ECC storage key');
  }
  const { size } = digestInfo(nameAlg);
  if (credential.length > size) {
    throw new TpmError('tpm.argument', `a credential of ${credential.length} bytes; at most ${size} fit ${nameAlg}`);
  }
  const { seed, secret } = shareSecret(ek, nameAlg, 'IDENTITY');
  const symmetric = ek.parameters.symmetric;
  if (symmetric.algorithm !== 'aes' || symmetric.mode !== 'cfb') {
    throw new TpmError('tpm.unsupported', 'the endorsement key does not use AES in CFB mode');
  }
  const symKey = KDFa(nameAlg, seed, 'STORAGE', objectName, new Uint8Array(0), symmetric.keyBits);
  const cipher = createCipheriv(`aes-${symmetric.keyBits}-cfb`, symKey, Buffer.alloc(16));
  const encIdentity = Buffer.concat([cipher.update(encode(TPM2B_DIGEST, credential)), cipher.final()]);
  const hmacKey = KDFa(nameAlg, seed, 'INTEGRITY', new Uint8Array(0), new Uint8Array(0), size * 8);
  const integrityHMAC = createHmac(digestInfo(nameAlg).opensslName, hmacKey)
    .update(encIdentity)
    .update(objectName)
    .digest();
  return { credentialBlob: idObject(integrityHMAC, encIdentity), secret };
}

/** TPMS_ID_OBJECT: the HMAC with its size, then the encrypted TPM2B_DIGEST as it is (Part 2, 12.4.2). */
function idObject(integrityHMAC: Uint8Array, encIdentity: Uint8Array): Uint8Array {
  return Buffer.concat([encode(TPM2B_DIGEST, integrityHMAC), encIdentity]);
}
