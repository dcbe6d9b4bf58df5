import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import {
  encodeProtectedKey,
  encodeTrustedBlob,
  encryptKey,
  type ProtectedKey,
  parseTrustedKey,
  recoveryProtector,
  type TrustedBlob,
  withoutProtector,
  withProtector,
} from '../../keys/index.ts';
import { lockFolder } from '../../sys/index.ts';
import { readProtectedKey } from './key-file.ts';
import { alone } from './key-lock.ts';
import {
  changeProtectedKey,
  renewBootFolder,
  replaceEncryptedKey,
  replaceTrustedKey,
  writeNewFile,
} from './write-key.ts';

const root = mkdtempSync(join(tmpdir(), 'assay-write-key-'));
after(() => rmSync(root, { recursive: true, force: true }));

let folder: string;
const file = (name: string): string => join(folder, name);
beforeEach(() => {
  folder = mkdtempSync(join(root, 'a-'));
});

const payload = Buffer.alloc(64, 7);
const protector = () => recoveryProtector(payload).protector;

async function made(...protectors: ProtectedKey['protectors']): Promise<ProtectedKey> {
  const key = { size: 64, protectors };
  await writeNewFile(file('a.key'), encodeProtectedKey(key));
  return key;
}
const idsIn = (key: ProtectedKey): string[] => key.protectors.map(({ id }) => id);
const changedMeanwhile = { code: 'key.busy', exitCode: 3, message: /was changed by another process meanwhile/ };

test('what others did since the key was read stays done', async () => {
  const [first, second, third] = [protector(), protector(), protector()];
  const before = await made(first, second);
  await changeProtectedKey(file('a.key'), before, (now) => withoutProtector(now, second.id));
  await changeProtectedKey(file('a.key'), before, (now) => withProtector(now, third));
  assert.deepEqual(idsIn(readProtectedKey(file('a.key'))), [first.id, third.id]);
});

test('a file that holds another key now is left alone', async () => {
  const before = await made(protector());
  const other = encodeProtectedKey({ size: 64, protectors: [protector()] });
  writeFileSync(file('a.key'), other);
  await assert.rejects(
    changeProtectedKey(file('a.key'), before, (now) => now),
    changedMeanwhile,
  );
  assert.equal(readFileSync(file('a.key'), 'utf8'), other);
});

/** Made up: they open nowhere. */
const blobOf = (byte: string): TrustedBlob =>
  parseTrustedKey(`0010${byte.repeat(16)}002e0008000b00000052000000100020${byte.repeat(32)}`);

test('of two who seal a key anew the later one is refused, and so is one who encrypts another anew', async () => {
  const [before, one, other] = [blobOf('11'), blobOf('22'), blobOf('33')];
  await writeNewFile(file('kmk'), encodeTrustedBlob(before).toString('hex'));
  await replaceTrustedKey(file('kmk'), before, one, []);
  await assert.rejects(replaceTrustedKey(file('kmk'), before, other, []), changedMeanwhile);
  assert.equal(readFileSync(file('kmk'), 'latin1'), encodeTrustedBlob(one).toString('hex'));
  const line = encryptKey(payload, { name: 'user:m', payload });
  await assert.rejects(replaceEncryptedKey(file('kmk'), line, line), changedMeanwhile);
});

test('who cannot have the folder says so, and does nothing', async () => {
  const release = await lockFolder(folder, 0);
  const work = () => assert.fail('it has no lock');
  await assert.rejects(alone(file('a.key'), work, 50), {
    code: 'key.busy',
    exitCode: 3,
    message: /another process has locked/,
    advice: /nothing was written/,
  });
  release?.();
  assert.equal(await alone(file('a.key'), async () => 'done', 50), 'done');
});

test('what a killed process left goes with the next change, and what is only called alike stays', async () => {
  const before = await made(protector());
  await renewBootFolder(file('a.key'));
  const left = ['a.key.0123456789abcdef.new', 'a.key.policy.0123456789abcdef.new'];
  for (const name of [...left, 'a.key.new', 'b.key.0123456789abcdef.new', 'a.new-a1B2c4.key'])
    writeFileSync(file(name), 'half');
  for (const name of ['a.new-a1B2c3', 'a.new-a1B2c3.old', 'a.new-a1B2c4'])
    mkdirSync(file(`${name}/1-recovery`), { recursive: true });
  await changeProtectedKey(file('a.key'), before, (now) => withProtector(now, protector()));
  assert.deepEqual(
    readdirSync(folder).sort(),
    ['a', 'a.key', 'a.key.new', 'a.new-a1B2c4', 'a.new-a1B2c4.key', 'b.key.0123456789abcdef.new'].sort(),
  );
});
