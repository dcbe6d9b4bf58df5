/** Encrypted keys and this machine's own kernel, both ways, judged by what they decrypt to. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  decryptKey,
  type EncryptedFormat,
  encodeEncryptedKey,
  encryptKey,
  type MasterName,
  parseEncryptedKey,
} from '../../src/keys/index.ts';
import { addKey, readKey, SPECIAL_KEYRINGS, updateKey } from '../../src/sys/index.ts';

const PROCESS = SPECIAL_KEYRINGS.get('@p') ?? 0;

function master(name: string): { name: MasterName; payload: Buffer } {
  const payload = randomBytes(32);
  addKey('user', name, payload, PROCESS);
  return { name: `user:${name}`, payload };
}

/** ecryptfs wants 16 hex digits; a name that is there already would be an update. */
const newName = (): string => randomBytes(8).toString('hex');

const CASES: readonly (readonly [EncryptedFormat, number])[] = [
  ['default', 20],
  ['default', 33],
  ['default', 64],
  ['default', 4096],
  ['ecryptfs', 64],
  ['enc32', 32],
];

for (const [format, size] of CASES) {
  test(`the kernel takes ours of format ${format} with ${size} bytes, and gives its payload under another master`, () => {
    const first = master(`assay-first-${format}-${size}`);
    const second = master(`assay-second-${format}-${size}`);
    const payload = randomBytes(size);
    const line = encodeEncryptedKey(encryptKey(payload, first, format));
    const serial = addKey('encrypted', newName(), Buffer.from(`load ${line}`), PROCESS);
    assert.equal(readKey(serial).toString('latin1'), line);
    updateKey(serial, Buffer.from(`update ${second.name}`));
    const moved = parseEncryptedKey(readKey(serial).toString('latin1'));
    assert.equal(moved.master, second.name);
    assert.deepEqual(decryptKey(moved, second.payload), payload);
  });

  test(`what the kernel makes of format ${format} with ${size} bytes decrypts here`, () => {
    const own = master(`assay-own-${format}-${size}`);
    const serial = addKey('encrypted', newName(), Buffer.from(`new ${format} ${own.name} ${size}`), PROCESS);
    const made = parseEncryptedKey(readKey(serial).toString('latin1'));
    const payload = decryptKey(made, own.payload);
    assert.equal(payload.length, size);
    const other = master(`assay-other-${format}-${size}`);
    updateKey(serial, Buffer.from(`update ${other.name}`));
    assert.deepEqual(decryptKey(parseEncryptedKey(readKey(serial).toString('latin1')), other.payload), payload);
  });
}

test('the kernel refuses one whose data was changed, as we do', () => {
  const own = master('assay-changed');
  const line = encodeEncryptedKey(encryptKey(randomBytes(64), own));
  const changed = line.slice(0, -1) + (line.endsWith('0') ? '1' : '0');
  assert.throws(() => addKey('encrypted', newName(), Buffer.from(`load ${changed}`), PROCESS), { errno: 'EINVAL' });
  assert.throws(() => decryptKey(parseEncryptedKey(changed), own.payload), { code: 'key.wrong-master' });
});
