import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeyError } from '../error.ts';
import { encodeProtectedKey, parseProtectedKey } from './key-file.ts';
import { masterText } from './master-text.ts';
import { openProtectedKey } from './open.ts';
import { passwordMaster } from './password.ts';
import {
  newProtectorId,
  type ProtectedKey,
  type ProtectorOf,
  passwordProtector,
  recoveryProtector,
  slotFor,
  unwrap,
  withoutProtector,
  withProtector,
} from './protected-key.ts';
import { recoveryMaster } from './recovery-code.ts';

const PAYLOAD = randomBytes(64);
const password = passwordProtector(PAYLOAD, 'open sesame');
const recovery = recoveryProtector(PAYLOAD);
const STICK = randomBytes(32);
const usbId = newProtectorId('usb');
const usb: ProtectorOf<'usb'> = {
  ...slotFor(usbId, PAYLOAD, masterText(STICK)),
  kind: 'usb',
  fileSystem: 'ABCD-1234',
  path: 'assay.key',
};
const KEY: ProtectedKey = { size: 64, protectors: [password, recovery.protector, usb] };

const codeOf = (run: () => unknown): string | undefined => {
  try {
    run();
    return undefined;
  } catch (error) {
    return error instanceof KeyError ? error.code : String(error);
  }
};

test('each protector opens the key alone, and none opens with another’s secret', () => {
  const read = parseProtectedKey(encodeProtectedKey(KEY));
  const [first, second, third] = read.protectors;
  assert.ok(first?.kind === 'password' && second !== undefined && third !== undefined);
  assert.deepEqual(unwrap(first, passwordMaster('open sesame', first.kdf)), PAYLOAD);
  assert.deepEqual(unwrap(second, recoveryMaster(recovery.code)), PAYLOAD);
  assert.deepEqual(unwrap(third, masterText(STICK)), PAYLOAD);
  assert.equal(
    codeOf(() => unwrap(first, passwordMaster('open sesam', first.kdf))),
    'key.wrong-secret',
  );
  assert.equal(
    codeOf(() => unwrap(second, masterText(STICK))),
    'key.wrong-secret',
  );
});

/** `printf password | argon2 somesaltsomesalt -id -t 3 -k 65536 -p 4 -l 32 -r` (Debian's argon2 0~20171227). */
test('a password’s master key is what argon2(1) prints', () => {
  const kdf = { salt: 'somesalt', passes: 3, memory: 65536, lanes: 4 };
  assert.equal(
    passwordMaster('password', kdf).toString(),
    '661fefbd6f29bcbc8f4646abc32a9d7a4645bb5c059537f8a5587f31adbecccd',
  );
  for (const wrong of ['', 'x'.repeat(128)])
    assert.equal(
      codeOf(() => passwordMaster(wrong, kdf)),
      'key.size',
    );
});

test('a recovery code is read as people write it down', () => {
  const { code } = recovery;
  assert.match(code, /^(?:[0-9A-HJKMNP-TV-Z]{5}-){7}[0-9A-HJKMNP-TV-Z]{5}$/);
  const written = code.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o').replaceAll('1', 'l');
  assert.deepEqual(recoveryMaster(written), recoveryMaster(code));
  assert.equal(
    codeOf(() => recoveryMaster(code.slice(1))),
    'key.wrong-secret',
  );
  assert.equal(
    codeOf(() => recoveryMaster(`U${code.slice(1)}`)),
    'key.wrong-secret',
  );
});

test('protectors come and go without the key’s changing, the last one stays', () => {
  const less = withoutProtector(withoutProtector(KEY, password.id), usb.id);
  assert.deepEqual(less.protectors, [recovery.protector]);
  assert.equal(
    codeOf(() => withoutProtector(less, recovery.protector.id)),
    'key.option',
  );
  assert.equal(
    codeOf(() => withoutProtector(KEY, 'usb-00000000')),
    'key.option',
  );
  const more = Array.from({ length: 16 }).reduce<ProtectedKey>(
    (key) => withProtector(key, { ...usb, id: newProtectorId('usb') }),
    {
      ...KEY,
      protectors: [],
    },
  );
  assert.equal(
    codeOf(() => withProtector(more, usb)),
    'key.option',
  );
});

test('of several refusals all are told, and one that is a no decides', async () => {
  const another: ProtectorOf<'usb'> = { ...usb, id: newProtectorId('usb') };
  const refusals = [
    new KeyError('key.missing', 'the device has no file'),
    new KeyError('key.wrong-boot-state', 'PCR 7 differs'),
  ];
  const opening = openProtectedKey(
    { size: 64, protectors: [usb, another] },
    {
      usb: async () => {
        throw refusals.shift() ?? assert.fail();
      },
    },
  );
  await assert.rejects(opening, (error: unknown) => {
    assert.ok(error instanceof KeyError);
    assert.deepEqual([error.code, error.exitCode], ['key.wrong-boot-state', 1]);
    assert.match(error.message, /the device has no file; usb-[0-9a-f]{8}: PCR 7 differs/);
    return true;
  });
});

test('a file that asks for too much, or is changed, is refused', () => {
  const text = encodeProtectedKey(KEY);
  const changed = (from: string | RegExp, to: string): string | undefined =>
    codeOf(() => parseProtectedKey(text.replace(from, to)));
  assert.equal(changed('"memory": 65536', '"memory": 99999999'), 'key.malformed');
  assert.equal(changed('"passes": 3', '"passes": 1000000'), 'key.malformed');
  assert.equal(changed('"bytes": 64', '"bytes": 32'), 'key.malformed');
  assert.equal(changed(usb.id, 'usb-00000000'), undefined); // a name that only people use
  assert.equal(changed('"kind": "usb"', '"kind": "tpm"'), 'key.malformed');
  assert.equal(changed('ABCD-1234', '../../etc'), 'key.malformed');
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ minLength: 1, maxLength: 2 }), (at, by) => {
      const code = codeOf(() => parseProtectedKey(text.slice(0, at) + by + text.slice(at + 1)));
      assert.ok(code === undefined || code.startsWith('key.'), code);
    }),
    { numRuns: 300 },
  );
});
