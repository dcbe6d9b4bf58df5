/** `assay appraise` by keys that OpenSSL made: appended signatures, blacklists, keyrings in folders. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { digest } from '../../src/bytes/index.ts';
import { openSigner, signModsig } from '../../src/digsig/index.ts';
import { requires } from './requirements.ts';

const ASSAY = join(import.meta.dirname, '../../bin/assay');

function makeKey(folder: string, name: string): { key: string; certificate: string } {
  const [key, certificate] = [join(folder, `${name}.pem`), join(folder, `${name}.der`)];
  const made = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-batch', '-subj', `/CN=${name}`, '-keyout', key];
  const { status, stderr } = spawnSync('openssl', ['req', ...made, '-outform', 'DER', '-out', certificate]);
  assert.equal(status, 0, stderr.toString());
  return { key, certificate };
}

type Place = ReturnType<typeof place>;

function place(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'assay-appraise-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const tree = join(folder, 'tree');
  mkdirSync(tree);
  const known = makeKey(folder, 'known');
  return { folder, tree, ...known };
}

/** `path: cause`, sorted, of each bad file. */
function appraise({ tree }: Place, ...options: readonly string[]): string[] {
  const { stdout, stderr } = spawnSync(ASSAY, ['appraise', tree, '--xattr-user', '--json', ...options], {
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  const lines = stdout.trim().split('\n').slice(0, -1);
  return lines.map((line) => `${JSON.parse(line).path}: ${JSON.parse(line).cause}`).toSorted();
}

function appendSignature(file: string, { key, certificate }: { key: string; certificate: string }): void {
  const signer = openSigner({ key: readFileSync(key), source: key, certificate: readFileSync(certificate) });
  appendFileSync(file, signModsig(signer, 'sha512', digest('sha512', readFileSync(file))));
}

test('appended signatures stand under --modsig alone, over the content that they sign', requires('openssl'), (t) => {
  const here = place(t);
  const at = (name: string): string => join(here.tree, name);
  const stranger = makeKey(here.folder, 'stranger');
  // Longer than what is hashed at once.
  for (const name of ['signed', 'changed', 'by-stranger', 'bare']) writeFileSync(at(name), name.repeat(50_000));
  for (const name of ['signed', 'changed']) appendSignature(at(name), here);
  appendSignature(at('by-stranger'), stranger);
  const changed = readFileSync(at('changed'));
  changed.write('other');
  writeFileSync(at('changed'), changed);
  assert.deepEqual(appraise(here, '--key', here.certificate, '--modsig'), [
    'bare: IMA-signature-required',
    'by-stranger: invalid-signature',
    'changed: invalid-signature',
  ]);
  assert.equal(appraise(here, '--key', here.certificate, '--require-signature').length, 4);
  const signed = readFileSync(at('signed')).subarray(0, 'signed'.length * 50_000);
  const hashes = join(here.folder, 'hashes');
  writeFileSync(hashes, `bin:${digest('sha512', signed).toString('hex')}\n`);
  const [first] = appraise(here, '--key', here.certificate, '--modsig', '--blacklist', hashes, '--include', 'signed');
  assert.equal(first, 'signed: blacklisted-hash');
});

test('a key that moves to the keyring’s folder of blacklisted keys verifies no more', requires('openssl'), (t) => {
  const here = place(t);
  writeFileSync(join(here.tree, 'file'), 'content');
  const keyring = join(here.folder, 'keyring');
  mkdirSync(join(keyring, 'blacklist'), { recursive: true });
  writeFileSync(join(keyring, 'known.der'), readFileSync(here.certificate));
  const label = ['label', here.tree, '--xattr-user', '--sign', here.key, '--cert', here.certificate];
  assert.equal(spawnSync(ASSAY, label).status, 0);
  assert.deepEqual(appraise(here, '--keyring', keyring), []);
  writeFileSync(join(keyring, 'README'), 'notes');
  const noted = spawnSync(ASSAY, ['appraise', here.tree, '--xattr-user', '--keyring', keyring], { encoding: 'utf8' });
  assert.deepEqual([noted.status, noted.stderr], [0, `assay: ${keyring}/README: no public key; passed over\n`]);
  rmSync(join(keyring, 'README'));
  assert.deepEqual(appraise(here, '--keyring', keyring, '--blacklist', here.certificate), ['file: invalid-signature']);
  renameSync(join(keyring, 'known.der'), join(keyring, 'blacklist', 'known.der'));
  const told = spawnSync(ASSAY, ['appraise', here.tree, '--xattr-user', '--keyring', keyring], { encoding: 'utf8' });
  assert.equal(told.status, 1);
  assert.match(told.stdout, /^file: invalid-signature: expected a signature by .*, found a key that is blacklisted$/m);
});

test('a reader that has seen enough does not make bad files good', requires('openssl'), (t) => {
  const here = place(t);
  for (let i = 0; i < 3000; i++) writeFileSync(join(here.tree, `a-rather-long-name-of-a-file-${i}`), '');
  const command = `set -o pipefail; '${ASSAY}' appraise '${here.tree}' --xattr-user | head -1`;
  const { status, stdout } = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
  assert.match(stdout, /: missing-hash: /);
  assert.equal(status, 1);
});

test('a blacklist that cannot be read, or would not be asked, is an error', requires('openssl'), (t) => {
  const here = place(t);
  writeFileSync(join(here.tree, 'file'), 'content');
  const list = join(here.folder, 'list');
  const refused = (...options: readonly string[]): string => {
    const { status, stderr } = spawnSync(ASSAY, ['appraise', here.tree, '--xattr-user', ...options], {
      encoding: 'utf8',
    });
    assert.equal(status, 2, stderr);
    return stderr;
  };
  writeFileSync(list, 'revoked\n');
  assert.match(refused('--blacklist', list), /no public key/);
  writeFileSync(list, `bin:${'00'.repeat(32)}\n`);
  assert.match(refused('--blacklist', list), /no signature is required/);
  assert.match(refused('--verity', '--modsig'), /--verity beside another/);
});
