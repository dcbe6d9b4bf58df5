import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setXattr } from '../sys/index.ts';

const ASSAY = join(import.meta.dirname, '../../bin/assay');

test('label show says what each label says, and a malformed one in its bytes', (t) => {
  const tree = mkdtempSync(join(tmpdir(), 'assay-label-show-'));
  t.after(() => rmSync(tree, { recursive: true }));
  const assay = (...args: readonly string[]) => spawnSync(ASSAY, args, { encoding: 'utf8' });
  const label = (...more: readonly string[]) => assert.equal(assay('label', tree, '--xattr-user', ...more).status, 0);
  const shown = (path: string): string => assay('label', 'show', path).stdout.trim();
  const file = join(tree, 'file');
  writeFileSync(file, 'content');
  assert.deepEqual([assay('label', 'show', file).status, shown(file)], [1, 'no labels']);
  label();
  assert.match(shown(file), /^user\.ima {2}hash, digest sha256:ed7002b4/);
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const key = join(tree, '../assay-label-show.pem');
  t.after(() => rmSync(key));
  writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  label('--sign', key, '--directories', '--root-path', '/srv', '--tree-version', '3');
  assert.match(shown(file), /^user\.ima {2}signature, format 2, hash sha256, key [0-9a-f]{8}, bytes 128$/);
  const directory =
    /^user\.assay\.dir {2}directory label, portable, digest sha256:[0-9a-f]{64}, version 3, place root \/srv, entries 1, signed true, format 2, hash sha256, key [0-9a-f]{8}, bytes 128$/;
  assert.match(shown(tree), directory);
  label('--sign', key, '--verity');
  const { labels, decoded } = JSON.parse(assay('label', 'show', file, '--json').stdout);
  assert.match(labels['user.ima'], /^060304/);
  assert.deepEqual(Object.keys(decoded['user.ima']), ['kind', 'format', 'hash', 'key', 'bytes']);
  setXattr(file, 'user.ima', Buffer.of(4, 4, 1));
  assert.match(shown(file), /^user\.ima {2}malformed, reason .*, value 040401$/);
});
