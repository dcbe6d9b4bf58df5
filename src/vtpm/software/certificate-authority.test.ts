import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { VtpmError } from '../error.ts';
import { certificateAuthority } from './certificate-authority.ts';

const root = mkdtempSync(join(tmpdir(), 'assay-ca-'));
after(() => rmSync(root, { recursive: true, force: true }));

const isError = (code: string, path: string) => (error: unknown) =>
  error instanceof VtpmError && error.code === code && error.message.includes(path) && error.advice !== undefined;

test('all who ask for the CA of a folder at once get the same, which stays', async () => {
  const folder = join(root, 'asked', 'at-once');
  const asked = await Promise.all(Array.from({ length: 8 }, () => certificateAuthority(folder)));
  const fingerprints = new Set(asked.map(({ certificate }) => certificate.fingerprint256));
  assert.equal(fingerprints.size, 1);
  const later = await certificateAuthority(folder);
  assert.ok(fingerprints.has(later.certificate.fingerprint256));
  assert.ok(later.certificate.verify(later.certificate.publicKey));
  assert.deepEqual(readdirSync(folder).sort(), ['certificate.pem', 'key.pem']);
  for (const name of ['.', 'certificate.pem', 'key.pem']) assert.equal(statSync(join(folder, name)).mode & 0o077, 0);
});

test('the key of one who was killed before the certificate was there is used', async () => {
  const folder = join(root, 'killed');
  await certificateAuthority(folder);
  const key = readFileSync(join(folder, 'key.pem'));
  rmSync(join(folder, 'certificate.pem'));
  const { certificate } = await certificateAuthority(folder);
  assert.deepEqual(readFileSync(join(folder, 'key.pem')), key);
  assert.ok(certificate.verify(certificate.publicKey));
});

test('a folder to which others may write is refused', async () => {
  const folder = join(root, 'shared');
  mkdirSync(folder);
  chmodSync(folder, 0o770);
  await assert.rejects(certificateAuthority(folder), isError('vtpm.state-io', folder));
});

test('a damaged file, and a key that is not the certificate’s, are refused by name', async () => {
  const folder = join(root, 'damaged');
  await certificateAuthority(folder);
  const other = join(root, 'other');
  await certificateAuthority(other);
  for (const name of ['key.pem', 'certificate.pem']) {
    const path = join(folder, name);
    const whole = readFileSync(path);
    for (const bytes of [Buffer.alloc(0), whole.subarray(0, whole.length / 2)]) {
      writeFileSync(path, bytes);
      await assert.rejects(certificateAuthority(folder), isError('vtpm.state-damaged', path));
    }
    writeFileSync(path, readFileSync(join(other, name)));
    await assert.rejects(certificateAuthority(folder), isError('vtpm.state-damaged', folder));
    writeFileSync(path, whole);
  }
  await certificateAuthority(folder);
});
