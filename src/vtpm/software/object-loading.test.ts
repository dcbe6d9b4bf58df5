import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { isRefusal, NO_SCHEME, NONE, startedTpm } from '../../../test/fixtures/started-tpm.ts';
import { TPM_RH, TPM2_LoadExternal } from '../../tpm/index.ts';

test('an RSA key with both its parts loads where they belong together and it has a private exponent', async () => {
  const { client } = startedTpm();
  const jwk = () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  const [own, other] = [jwk(), jwk()];
  const number = (text = ''): Buffer => Buffer.from(text, 'base64url');
  const load = (exponent: number, prime: Uint8Array, modulus = number(own.n)) => {
    const inPrivate = { sensitiveType: 'rsa', authValue: NONE, seedValue: NONE, sensitive: prime } as const;
    const inPublic = {
      type: 'rsa',
      nameAlg: 'sha256',
      objectAttributes: { userWithAuth: true, sign: true, decrypt: true },
      authPolicy: NONE,
      parameters: { symmetric: { algorithm: 'null' }, scheme: NO_SCHEME, keyBits: 2048, exponent },
      unique: modulus,
    } as const;
    return client.execute(TPM2_LoadExternal, { inPrivate, inPublic, hierarchy: TPM_RH.NULL });
  };
  await load(0, number(own.p));
  await load(65537, number(own.q));
  await assert.rejects(load(0, number(other.p)), isRefusal('BINDING'), 'another key’s prime');
  await assert.rejects(load(65536, number(own.p)), isRefusal('BINDING'), 'an even exponent');
  const p = BigInt(`0x${number(own.p).toString('hex')}`);
  const square = Buffer.from((p * p).toString(16), 'hex');
  await assert.rejects(load(0, number(own.p), square), isRefusal('BINDING'), 'one prime twice');
});
