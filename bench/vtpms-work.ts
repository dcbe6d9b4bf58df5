/** What a fleet's service asks of each TPM, P-256 throughout. */
import { randomBytes } from 'node:crypto';
import {
  activateCredential,
  createAttestationKey,
  EK_PROFILES,
  type LoadedKey,
  loadAttestationKey,
  loadEndorsementKey,
  makeCredential,
  objectName,
  quote,
  type TpmClient,
} from '../src/tpm/index.ts';

export interface Enrolled {
  readonly client: TpmClient;
  readonly ak: LoadedKey;
}

/** Its EK, a new AK under it, and a credential for both, opened: what it takes to enrol a host. */
export async function enrol(client: TpmClient): Promise<Enrolled> {
  const ek = await loadEndorsementKey(client, EK_PROFILES.p256);
  const wrapped = await createAttestationKey(client, ek);
  const ak = await loadAttestationKey(client, ek, wrapped);
  const secret = randomBytes(32);
  const opened = await activateCredential(client, ek, ak, makeCredential(ek.area, objectName(ak.area), secret));
  if (!secret.equals(opened)) throw new Error('the credential was not opened');
  await ek.release();
  return { client, ak };
}

export async function quoteOf({ client, ak }: Enrolled): Promise<void> {
  await quote(client, ak.handle, randomBytes(32), [{ hash: 'sha256', pcrs: [0, 1, 2, 3, 4, 5, 6, 7, 10] }]);
}
