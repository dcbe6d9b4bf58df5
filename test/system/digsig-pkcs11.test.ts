/** Keys in a PKCS#11 token: SoftHSM's. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { digest } from '../../src/bytes/index.ts';
import {
  Keyring,
  openSigner,
  parseSignature,
  readPublicKeys,
  signDigest,
  signDigestV1,
  verifySignature,
} from '../../src/digsig/index.ts';
import { SysError } from '../../src/sys/index.ts';
import { requires } from './requirements.ts';

const MODULES = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib64/pkcs11/libsofthsm2.so'];
const PIN = '24681357';
const KEYS = {
  'rsa-2048': ['rsa:2048'],
  'p-256': ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
  'p-384': ['ec', '-pkeyopt', 'ec_paramgen_curve:secp384r1'],
  'p-521': ['ec', '-pkeyopt', 'ec_paramgen_curve:secp521r1'],
} as const;

const refusal = (pattern: RegExp) => (error: unknown) =>
  error instanceof SysError &&
  error.code === 'sys.token' &&
  pattern.test(error.message) &&
  !error.message.includes(PIN);

describe('PKCS#11', requires('softhsm2-util', 'openssl'), () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-softhsm-'));
  const module = MODULES.find((path) => existsSync(path)) ?? 'libsofthsm2.so';
  const uri = (name: string, query = '') => `pkcs11:token=assay;object=${name}?module-path=${module}${query}`;
  const configuration = process.env.SOFTHSM2_CONF;

  before(() => {
    mkdirSync(join(folder, 'tokens'));
    writeFileSync(join(folder, 'pin'), `${PIN}\n`);
    const file = join(folder, 'softhsm2.conf');
    writeFileSync(file, `directories.tokendir = ${join(folder, 'tokens')}\nlog.level = ERROR\n`);
    process.env.SOFTHSM2_CONF = file;
    const run = (program: string, ...args: string[]) =>
      execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    run('softhsm2-util', '--init-token', '--free', '--label', 'assay', '--pin', PIN, '--so-pin', '0000');
    for (const [index, [name, newkey]] of Object.entries(KEYS).entries()) {
      const [key, certificate] = [join(folder, `${name}.key`), join(folder, `${name}.cer`)];
      const request = ['req', '-x509', '-nodes', '-batch', '-subj', `/CN=${name}`, '-outform', 'DER'];
      run('openssl', ...request, '-newkey', ...newkey, '-keyout', key, '-out', certificate);
      const id = String(index + 10);
      run('softhsm2-util', '--import', key, '--token', 'assay', '--label', name, '--id', id, '--pin', PIN);
    }
  });

  after(() => {
    if (configuration === undefined) delete process.env.SOFTHSM2_CONF;
    else process.env.SOFTHSM2_CONF = configuration;
    rmSync(folder, { recursive: true });
  });

  test('a wrong PIN, no token, no key and no module each say what they are', () => {
    assert.throws(() => openSigner({ uri: uri('p-256', '&pin-value=1111') }), refusal(/C_Login: CKR_PIN_INCORRECT/));
    assert.throws(() => openSigner({ uri: uri('p-256') }), refusal(/no private key fits/));
    assert.throws(() => openSigner({ uri: uri('none'), pin: PIN }), refusal(/no private key fits/));
    const elsewhere = uri('p-256').replace('token=assay', 'token=elsewhere');
    assert.throws(() => openSigner({ uri: elsewhere, pin: PIN }), refusal(/no token fits/));
    const noModule = { uri: 'pkcs11:token=assay', module: join(folder, 'pin'), pin: PIN };
    assert.throws(() => openSigner(noModule), refusal(/is no PKCS#11 module/));
  });

  for (const name of Object.keys(KEYS)) {
    test(`a ${name} key in a token signs what its certificate verifies`, () => {
      const certificate = readFileSync(join(folder, `${name}.cer`));
      const signer = openSigner({ uri: uri(name, `&pin-source=file:${join(folder, 'pin')}`), certificate });
      const keyring = new Keyring(readPublicKeys(certificate, { source: name }));
      for (const algorithm of ['sha1', 'sha256', 'sha512'] as const) {
        const over = digest(algorithm, Buffer.from('labelled'));
        const request = { algorithm, digest: over, type: 3 };
        const header = parseSignature(signDigest(signer, algorithm, over));
        assert.equal(verifySignature(keyring, header, request).valid, true, algorithm);
        if (signer.kind !== 'rsa' || algorithm === 'sha512') continue;
        const v1 = parseSignature(signDigestV1(signer, algorithm, over, 0));
        assert.equal(verifySignature(keyring, v1, request).valid, true, algorithm);
      }
    });
  }

  test('the certificate must be the token’s key’s', () => {
    const certificate = readFileSync(join(folder, 'p-384.cer'));
    assert.throws(() => openSigner({ uri: uri('p-256'), pin: PIN, certificate }), /another key's/);
  });
});
