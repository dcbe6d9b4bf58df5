import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DigsigError, readKeyringFolder } from './index.ts';

const pem = () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return publicKey.export({ type: 'spki', format: 'pem' });
};

test('a folder of keys is a keyring; what is no key is reported, and what is blacklisted does not verify', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-keyring-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const blacklist = join(folder, 'blacklist');
  mkdirSync(blacklist);
  const revoked = pem();
  writeFileSync(join(folder, 'a.pem'), pem());
  writeFileSync(join(folder, 'b.pem'), revoked);
  writeFileSync(join(folder, 'notes.txt'), 'where the keys are from');
  writeFileSync(join(blacklist, 'b.pem'), revoked);
  const { keyring, skipped } = readKeyringFolder(folder, { blacklist });
  assert.equal(keyring.size, 2);
  assert.deepEqual(
    [...keyring].map((key) => keyring.find(key.keyId) === 'blacklisted'),
    [false, true],
  );
  assert.equal(skipped.length, 1);
  assert.match(skipped[0]?.message ?? '', /notes\.txt/);
  writeFileSync(join(blacklist, 'torn.pem'), 'no key');
  assert.throws(() => readKeyringFolder(folder, { blacklist }), /torn\.pem/);
  assert.throws(() => readKeyringFolder(join(folder, 'none')), DigsigError);
});
