import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { AssayError } from '../../bytes/index.ts';
import { encodeEncryptedKey, encodeProtectedKey, encryptKey, recoveryProtector } from '../../keys/index.ts';
import { readKeyFile } from './key-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'assay-key-file-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** What a file with this content is read as: a kind, or a refusal with its exit code. */
function readAs(content: string | Uint8Array): string {
  const path = join(folder, 'key');
  writeFileSync(path, content);
  try {
    return readKeyFile(path).kind;
  } catch (error) {
    assert.ok(error instanceof AssayError);
    assert.ok(error.message.startsWith(`${path}: `), error.message);
    return `${error.code} ${error.exitCode}`;
  }
}

const payload = Buffer.alloc(64, 7);
const whole = encodeProtectedKey({ size: 64, protectors: [recoveryProtector(payload).protector] });
const line = encodeEncryptedKey(encryptKey(payload, { name: 'user:m', payload }));
/** The older form: made up, and opens nowhere. */
const blob = `0010${'5a'.repeat(16)}002e0008000b00000052000000100020${'15'.repeat(32)}`;

test('keys are known by what they begin with', () => {
  assert.deepEqual([whole, line, blob, `load ${blob}\n`].map(readAs), ['protected', 'encrypted', 'trusted', 'trusted']);
});

test('what is in no form of a key is bad input', () => {
  for (const content of ['', '\n', 'root:x:0:0:root:/root:/bin/sh\n', '{"some":"json"}', Buffer.from(blob, 'hex')])
    assert.equal(readAs(content), 'key.not-a-key 2', String(content));
});

test('what is damaged is a no', () => {
  const damaged = [
    whole.replace('"bytes": 64', '"bytes": 65'),
    whole.slice(0, -100),
    blob.slice(0, -2),
    blob.slice(0, -1),
    '3082012806066781050a?105',
    line.slice(0, -2),
    'user:m',
    '-----BEGIN TSS2 PRIVATE KEY-----\nMII',
  ];
  for (const content of damaged) assert.equal(readAs(content), 'key.malformed 1', content);
});
