/** Appended signatures against OpenSSL's CMS, both directions. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { digest } from '../../src/bytes/index.ts';
import {
  Keyring,
  openSigner,
  readPublicKeys,
  signModsig,
  splitModsig,
  verifyAppended,
  verifyModsig,
} from '../../src/digsig/index.ts';
import { requires } from './requirements.ts';

const CONTENT = Buffer.from('\x7fELF, or so it says\n');
const KEYS = {
  'RSA-2048': ['rsa:2048'],
  'P-256': ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
  'P-384': ['ec', '-pkeyopt', 'ec_paramgen_curve:secp384r1'],
} as const;

function place(t: TestContext, newkey: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'assay-modsig-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [file, key, certificate, pkcs7] = ['module', 'key', 'cer', 'p7'].map((name) => join(folder, name));
  assert.ok(file !== undefined && key !== undefined && certificate !== undefined && pkcs7 !== undefined);
  writeFileSync(file, CONTENT);
  const request = ['req', '-x509', '-nodes', '-batch', '-subj', '/O=Modules/CN=signer', '-newkey', ...newkey];
  execFileSync('openssl', [...request, '-keyout', key, '-out', certificate], { stdio: ['ignore', 'ignore', 'pipe'] });
  const keyring = new Keyring(readPublicKeys(readFileSync(certificate), { source: certificate }));
  return { file, key, certificate, pkcs7, keyring };
}

for (const [name, newkey] of Object.entries(KEYS)) {
  test(`OpenSSL and we take the signature that we append with ${name}`, requires('openssl'), (t) => {
    const { file, key, certificate, pkcs7, keyring } = place(t, newkey);
    const source = { key: readFileSync(key), source: key, certificate: readFileSync(certificate) };
    const appended = signModsig(openSigner(source), 'sha512', digest('sha512', CONTENT));
    const split = splitModsig(Buffer.concat([CONTENT, appended]));
    assert.ok(split !== undefined);
    assert.deepEqual(Buffer.from(split.content), CONTENT);
    assert.equal(verifyAppended(keyring, split).valid, true);
    writeFileSync(pkcs7, split.pkcs7);
    const verify = ['cms', '-verify', '-binary', '-inform', 'DER', '-in', pkcs7, '-content', file, '-noverify'];
    const checked = spawnSync('openssl', [...verify, '-nointern', '-certfile', certificate, '-out', '/dev/null']);
    assert.equal(checked.status, 0, checked.stderr.toString());
    const changed = { ...split, content: Buffer.from('changed') };
    assert.deepEqual(
      { ...verifyAppended(keyring, changed), key: undefined },
      {
        valid: false,
        fault: 'invalid-signature',
        key: undefined,
      },
    );
  });

  test(`we take what OpenSSL signs with ${name}, whichever way it names the key`, requires('openssl'), (t) => {
    const { file, key, certificate, pkcs7, keyring } = place(t, newkey);
    const sign = ['cms', '-sign', '-binary', '-nosmimecap', '-outform', 'DER', '-in', file, '-out', pkcs7];
    const by = ['-signer', certificate, '-inkey', key, '-md', 'sha256'];
    const judge = (...options: string[]) => {
      execFileSync('openssl', [...sign, ...by, ...options]);
      return verifyModsig(keyring, readFileSync(pkcs7), (algorithm) => digest(algorithm, CONTENT));
    };
    assert.equal(judge('-noattr', '-nocerts').valid, true);
    assert.equal(judge('-noattr', '-nocerts', '-keyid').valid, true);
    assert.equal(judge('-noattr').valid, true, 'its own certificate inside changes nothing');
    assert.equal(judge('-nocerts').valid, false, 'the kernel takes no signed attributes');
    judge('-noattr');
    const stranger = place(t, newkey);
    const verdict = verifyModsig(stranger.keyring, readFileSync(pkcs7), (algorithm) => digest(algorithm, CONTENT));
    assert.deepEqual(verdict, { valid: false, fault: 'unknown-key' }, 'a certificate inside vouches for nothing');
    assert.throws(() => judge('-noattr', '-nodetach'), /must be detached/);
  });
}
