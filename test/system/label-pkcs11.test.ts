/** `assay label` by keys in a PKCS#11 token: SoftHSM's. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { getXattr, setXattr } from '../../src/sys/index.ts';
import { requires } from './requirements.ts';

const ASSAY = join(import.meta.dirname, '../../bin/assay');
const MODULES = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib64/pkcs11/libsofthsm2.so'];
const PIN = '97531864';
const KEYS = { ima: ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'], evm: ['rsa:2048'] } as const;

describe('labels by keys in a token', requires('softhsm2-util', 'openssl'), () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-label-token-'));
  const tree = join(folder, 'tree');
  const pin = join(folder, 'pin');
  const module = MODULES.find((path) => existsSync(path)) ?? 'libsofthsm2.so';
  const uri = (name: string): string => `pkcs11:token=labels;object=${name}?module-path=${module}`;
  const certificate = (name: string): string => join(folder, `${name}.der`);
  const env = { ...process.env, SOFTHSM2_CONF: join(folder, 'softhsm2.conf') };
  const run = (program: string, ...args: readonly string[]) => spawnSync(program, args, { encoding: 'utf8', env });
  const ok = (program: string, ...args: readonly string[]): string => {
    const { status, stdout, stderr } = run(program, ...args);
    assert.equal(status, 0, `${program}: ${stdout}${stderr}`);
    return stdout;
  };

  before(() => {
    mkdirSync(join(folder, 'tokens'));
    mkdirSync(tree);
    writeFileSync(pin, `${PIN}\n`, { mode: 0o600 });
    writeFileSync(env.SOFTHSM2_CONF, `directories.tokendir = ${join(folder, 'tokens')}\nlog.level = ERROR\n`);
    ok('softhsm2-util', '--init-token', '--free', '--label', 'labels', '--pin', PIN, '--so-pin', '0000');
    for (const [index, [name, newkey]] of Object.entries(KEYS).entries()) {
      const key = join(folder, `${name}.pem`);
      const made = ['-x509', '-nodes', '-batch', '-subj', `/CN=${name}`, '-outform', 'DER', '-newkey', ...newkey];
      ok('openssl', 'req', ...made, '-keyout', key, '-out', certificate(name));
      const named = ['--label', name, '--id', String(index + 10)];
      ok('softhsm2-util', '--import', key, '--token', 'labels', ...named, '--pin', PIN);
      rmSync(key);
    }
    // More than one batch, so that threads open the token each for itself.
    for (let i = 0; i < 600; i++) writeFileSync(join(tree, `file-${i}`), `content ${i}`);
  });
  after(() => rmSync(folder, { recursive: true }));

  const sign = ['--sign', uri('ima'), '--cert', certificate('ima'), '--pass-file', pin];

  test('threads sign a tree, and the certificate verifies it', () => {
    const label = ['label', tree, '--xattr-user', '--jobs', '2', '--json', ...sign];
    const { changes, problems } = JSON.parse(ok(ASSAY, ...label));
    assert.deepEqual([changes.added, problems], [600, 0]);
    const judge = ['appraise', tree, '--xattr-user', '--require-signature'];
    assert.equal(JSON.parse(ok(ASSAY, ...judge, '--key', certificate('ima'), '--json')).changes.good, 600);
    const stranger = run(ASSAY, ...judge, '--key', certificate('evm'));
    assert.equal(stranger.status, 1);
    assert.match(stranger.stdout, /^file-0: invalid-signature: .*found no key of that id in the keyring$/m);
  });

  test('a wrong PIN and a key that is not there end the run before a file is touched; no PIN is told', () => {
    writeFileSync(join(folder, 'wrong'), '11112222\n');
    const label = ['label', tree, '--xattr-user', '--hash', 'sha512'];
    const labelBefore = getXattr(join(tree, 'file-0'), 'user.ima');
    const refused = (pattern: RegExp, ...options: readonly string[]): void => {
      const { status, stdout, stderr } = run(ASSAY, ...label, ...options);
      assert.ok(status === 2 || status === 3, `exit ${status}`);
      assert.match(stderr, pattern);
      assert.equal(stderr.trim().split('\n').length <= 2, true, stderr);
      assert.doesNotMatch(stdout + stderr, /11112222|97531864/);
    };
    refused(/CKR_PIN_INCORRECT/, '--sign', uri('ima'), '--pass-file', join(folder, 'wrong'));
    refused(/no private key fits/, '--sign', uri('nobody'), '--pass-file', pin);
    refused(/another key's/, '--sign', uri('ima'), '--cert', certificate('evm'), '--pass-file', pin);
    assert.deepEqual(getXattr(join(tree, 'file-0'), 'user.ima'), labelBefore);
  });

  for (const mode of ['sign', 'portable'] as const) {
    test(`--evm ${mode} by another key of the token, beside signed content`, (t: TestContext) => {
      try {
        setXattr(join(tree, 'file-0'), 'security.ima', Buffer.of(4));
      } catch {
        t.skip('needs root and a file system with security attributes');
        return;
      }
      const evm = ['--evm', mode, '--evm-key', uri('evm'), '--evm-cert', certificate('evm')];
      const only = ['--include', 'file-?'];
      ok(ASSAY, 'label', tree, ...only, ...sign, ...evm);
      assert.equal(getXattr(join(tree, 'file-1'), 'security.evm')?.[0], mode === 'sign' ? 3 : 5);
      const judge = ['appraise', tree, ...only, '--key', certificate('ima')];
      ok(ASSAY, ...judge, '--evm-key', certificate('evm'));
      const stranger = run(ASSAY, ...judge, '--evm-key', certificate('ima'));
      const cause = mode === 'sign' ? 'invalid-HMAC' : 'invalid-fail-immutable';
      assert.match(stranger.stdout, new RegExp(`^file-1: ${cause}: .*, found no key of that id in the keyring$`, 'm'));
    });
  }

  test('a key of the token for EVM alone, its content a digest', (t: TestContext) => {
    try {
      setXattr(join(tree, 'file-0'), 'security.ima', Buffer.of(4));
    } catch {
      t.skip('needs root and a file system with security attributes');
      return;
    }
    const evm = ['--evm', 'portable', '--evm-key', uri('evm'), '--evm-cert', certificate('evm'), '--pass-file', pin];
    ok(ASSAY, 'label', tree, '--include', 'file-?', ...evm);
    assert.equal(getXattr(join(tree, 'file-2'), 'security.ima')?.[0], 4);
    ok(ASSAY, 'appraise', tree, '--include', 'file-?', '--evm-key', certificate('evm'), '--require-signature');
  });
});
