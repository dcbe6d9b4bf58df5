import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyError } from '../error.ts';
import { parseTrustedOptions } from './options.ts';

const refused = (...words: string[]): string => {
  try {
    parseTrustedOptions(words);
  } catch (error) {
    if (error instanceof KeyError && error.code === 'key.option') return error.message;
  }
  return assert.fail(`taken: ${words.join(' ')}`);
};

test('each option of the kernel’s that acts on a TPM 2.0 is read as it reads it', () => {
  const digest = 'ab'.repeat(48);
  assert.deepEqual(
    parseTrustedOptions([
      'keyhandle=0x81000001',
      `keyauth=${'0f'.repeat(20)}`,
      'blobauth=hello',
      'pcrlock=16',
      'migratable=1',
      'hash=sha384',
      `policydigest=${digest}`,
      'policyhandle=3000000',
    ]),
    {
      keyhandle: 0x81000001,
      keyauth: Buffer.alloc(20, 0x0f),
      blobauth: Buffer.from('hello'),
      pcrlock: 16,
      migratable: true,
      hash: 'sha384',
      policydigest: Buffer.from(digest, 'hex'),
      policyhandle: 0x03000000,
    },
  );
  assert.deepEqual(parseTrustedOptions([`blobauth=${'ee'.repeat(20)}`]), { blobauth: Buffer.alloc(20, 0xee) });
});

test('what the kernel answers with EINVAL or silently leaves out is refused, and no secret is repeated', () => {
  refused('keyhandle=1', 'keyhandle=1');
  refused('keyhandle=xyz');
  refused('pcrlock=24');
  refused('pcrlock=0');
  refused('migratable=2');
  refused('hash=md5');
  refused('unknown=1');
  refused('migratable');
  refused('policydigest=00');
  refused(`policydigest=${'00'.repeat(48)}`, 'hash=sha384');
  assert.match(refused('pcrinfo=00'), /TPM 1\.2/);
  const secret = 'a secret that is much too long';
  assert.ok(!refused(`blobauth=${secret}`).includes('secret'));
  assert.ok(!refused('keyauth=topsecret').includes('topsecret'));
});
