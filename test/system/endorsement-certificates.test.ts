/** What the software TPM's CA issues, read by OpenSSL as another implementation of RFC 5280. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  endorsementChains,
  endorsementKeyOf,
  marshalCommand,
  readEndorsementCertificates,
  TPM2_Startup,
  TpmClient,
} from '../../src/tpm/index.ts';
import { certificateAuthority, endorse, inProcessTransport, SoftwareTpm } from '../../src/vtpm/index.ts';
import { requires } from './requirements.ts';

const folder = mkdtempSync(join(tmpdir(), 'assay-ek-certificates-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const openssl = (...args: readonly string[]): string => execFileSync('openssl', args, { encoding: 'utf8' });

test('openssl and the chain check accept the certificates of every endorsement key', requires('openssl'), async () => {
  const tpm = SoftwareTpm.manufacture();
  tpm.execute(marshalCommand(TPM2_Startup, { startupType: 'clear' }));
  const authority = await certificateAuthority(join(folder, 'ca'));
  await endorse(tpm, authority, ['rsa2048', 'p256', 'p384']);
  const found = await readEndorsementCertificates(new TpmClient(inProcessTransport(tpm, 'a test')));
  assert.deepEqual(found.map(({ profile }) => profile.name).sort(), ['p256', 'p384', 'rsa2048']);
  const { verifyChain } = await endorsementChains();
  const root = join(folder, 'ca', 'certificate.pem');
  assert.match(openssl('verify', '-x509_strict', '-CAfile', root, root), /: OK$/m);

  for (const { profile, certificate } of found) {
    verifyChain({ certificate, intermediates: [], roots: [authority.certificate], now: Date.now() });
    assert.equal(endorsementKeyOf(certificate).profile, profile);

    const file = join(folder, `${profile.name}.pem`);
    writeFileSync(file, certificate.toString());
    assert.match(openssl('verify', '-x509_strict', '-CAfile', root, file), /: OK$/m);
    const text = openssl('x509', '-in', file, '-noout', '-text');
    const usage = profile.name === 'rsa2048' ? 'Key Encipherment' : 'Key Agreement';
    for (const expected of [
      /X509v3 Basic Constraints: critical\s+CA:FALSE/,
      new RegExp(`X509v3 Key Usage: critical\\s+${usage}\n`),
      /X509v3 Extended Key Usage:\s+(2\.23\.133\.8\.1|Endorsement Key Certificate)\n/,
      /DirName:.*id:41535359.*Assay software TPM.*id:00000001/,
      /Not After : Dec 31 23:59:59 9999 GMT/,
    ]) {
      assert.match(text, expected);
    }
  }
});
