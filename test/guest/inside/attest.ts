/**
 * Runs in the guest as its agent: takes challenges and, on a later boot, a credential from the folder IN, and leaves in
 * OUT the evidence for each, the keys' public parts and the opened credential. IN holds the AK between boots.
 */
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { collectEvidence, loadIdentity, startHostAgent } from '../../../src/agent/index.ts';
import { fromHex } from '../../../src/bytes/index.ts';
import { EvidenceCodec } from '../../../src/evidence/index.ts';
import { activateCredential, encode, openDevice, TPMT_PUBLIC, TpmClient } from '../../../src/tpm/index.ts';
import type { GuestChallenge, GuestCredential } from '../attestation.ts';

const KEPT = ['ak.public', 'ak.private'];
const [, , IN = '', OUT = ''] = process.argv;
const readJson = (name: string) => JSON.parse(readFileSync(join(IN, name), 'utf8'));

const tpm = new TpmClient(await openDevice('/dev/tpmrm0'));
await putBackKept();
const agent = await startHostAgent({
  tpm,
  tpmKind: 'device',
  dataFolder: IN,
  onListed() {},
  onFailure(error) {
    throw error;
  },
});
const { ak, ek, ekCertificates } = agent.identity;
writeFileSync(join(OUT, 'ak'), encode(TPMT_PUBLIC, ak.area));
writeFileSync(join(OUT, 'ek'), encode(TPMT_PUBLIC, ek.area));
for (const [index, certificate] of ekCertificates.entries()) writeFileSync(join(OUT, `ek-${index}.der`), certificate);

if (existsSync(join(IN, 'credential.json'))) {
  const { credentialBlob, secret }: GuestCredential = readJson('credential.json');
  const credential = { credentialBlob: fromHex(credentialBlob, 'blob'), secret: fromHex(secret, 'secret') };
  writeFileSync(join(OUT, 'credential'), await activateCredential(tpm, ek, ak, credential));
}

const challenges: Readonly<Record<string, GuestChallenge>> = readJson('challenges.json');
for (const [name, { nonce, request }] of Object.entries(challenges)) {
  const evidence = await collectEvidence(agent.attester, fromHex(nonce, 'nonce'), request);
  writeFileSync(join(OUT, name), EvidenceCodec.encode(evidence));
}
for (const name of KEPT) copyFileSync(join(agent.identity.folder, name), join(IN, name));
await agent.stop();
await tpm.close();

/** The AK of an earlier boot goes into its TPM's folder, whose name only the TPM tells. */
async function putBackKept(): Promise<void> {
  if (!existsSync(join(IN, 'ak.public'))) return;
  const { ek, ak, folder } = await loadIdentity(tpm, IN);
  await ek.release();
  await ak.release();
  for (const name of KEPT) copyFileSync(join(IN, name), join(folder, name));
}
