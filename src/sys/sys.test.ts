import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { chmodSync, closeSync, mkdtempSync, openSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { ParseError } from '../bytes/index.ts';
import {
  ExecWatch,
  ecdsaSigner,
  ecdsaVerifier,
  getXattr,
  hashContent,
  isNativeAvailable,
  listXattrs,
  parseFanotifyEvents,
  removeXattr,
  SysError,
  setXattr,
} from './index.ts';

const native = { skip: isNativeAvailable() ? false : 'koffi does not load here' };

function temporaryFolder(t: { after(fn: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'assay-sys-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Which part is missing for `user.*` attributes in this folder, as a skip reason. */
function tryXattr(file: string): string | undefined {
  try {
    setXattr(file, 'user.assay-test', Buffer.of(1));
    return undefined;
  } catch (error) {
    if (error instanceof SysError && error.errno === 'EOPNOTSUPP') return 'the file system has no extended attributes';
    throw error;
  }
}

test('an extended attribute is written, listed, read and removed; a missing one is undefined', native, (t) => {
  const file = join(temporaryFolder(t), 'a file');
  writeFileSync(file, '');
  const missing = tryXattr(file);
  if (missing !== undefined) return t.skip(missing);
  assert.equal(getXattr(file, 'user.none'), undefined);
  const value = Buffer.alloc(1100, 7); // longer than the first buffer
  setXattr(file, 'user.label', value);
  assert.deepEqual(getXattr(Buffer.from(file), 'user.label'), value);
  assert.deepEqual(
    listXattrs(file)
      .filter((name) => name.startsWith('user.'))
      .sort(),
    ['user.assay-test', 'user.label'],
  );
  assert.equal(removeXattr(file, 'user.label'), true);
  assert.equal(removeXattr(file, 'user.label'), false);
});

test('a refused call names the call, the path and the reason', native, () => {
  assert.throws(
    () => getXattr('/no/such/file', 'user.x'),
    (error) => error instanceof SysError && error.errno === 'ENOENT' && error.message.includes('/no/such/file'),
  );
});

test('a path with a NUL byte is refused, not cut', native, () => {
  assert.throws(() => getXattr('/etc/passwd\0.png', 'user.x'), SysError);
});

for (const [curve, algorithm] of [
  ['P-256', 'sha256'],
  ['P-384', 'sha384'],
  ['P-521', 'sha512'],
  ['P-256', 'sha512'],
] as const) {
  test(`ECDSA on ${curve} over a given ${algorithm} digest: both engines agree`, () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: curve });
    const message = Buffer.from('measured');
    const digest = createHash(algorithm).update(message).digest();
    const signature = sign(algorithm, message, privateKey);
    const other = createHash(algorithm).update('changed').digest();
    const engines = isNativeAvailable() ? (['openssl', 'javascript'] as const) : (['javascript'] as const);
    for (const engine of engines) {
      const verifier = ecdsaVerifier(publicKey, engine);
      assert.equal(verifier.engine, engine);
      assert.equal(verifier.verify(digest, signature), true, engine);
      assert.equal(verifier.verify(other, signature), false, engine);
      assert.equal(verifier.verify(digest, signature.subarray(0, 5)), false, engine);
      assert.equal(verifier.verify(digest, Buffer.alloc(0)), false, engine);
      assert.equal(verifier.verify(digest, signature), true, `${engine} after a refusal`);
    }
  });
}

for (const [curve, size] of [
  ['P-256', 32],
  ['P-384', 48],
  ['P-521', 64],
  ['P-256', 64],
  ['P-521', 20],
] as const) {
  test(`an ECDSA signature on ${curve} over a digest of ${size} bytes verifies with both engines`, () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: curve });
    const digest = randomBytes(size);
    const engines = isNativeAvailable() ? (['openssl', 'javascript'] as const) : (['javascript'] as const);
    for (const by of engines) {
      const signer = ecdsaSigner(privateKey, by);
      for (const engine of engines) {
        const verifier = ecdsaVerifier(publicKey, engine);
        assert.equal(verifier.verify(digest, signer.sign(digest)), true, `${by} → ${engine}`);
        assert.equal(verifier.verify(digest, signer.sign(Buffer.alloc(size, 1))), false, `${by} → ${engine}`);
      }
    }
  });
}

test('OpenSSL signs on curves that the JavaScript engine does not have, SM2 among them', native, () => {
  for (const namedCurve of ['prime192v1', 'SM2']) {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve });
    const digest = randomBytes(32);
    const signature = ecdsaSigner(privateKey).sign(digest);
    assert.equal(ecdsaVerifier(publicKey).verify(digest, signature), true, namedCurve);
    assert.equal(ecdsaVerifier(publicKey).verify(randomBytes(32), signature), false, namedCurve);
    assert.throws(() => ecdsaSigner(privateKey, 'javascript'), SysError);
  }
});

test('a key that is not on a known curve is refused', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  assert.throws(() => ecdsaVerifier(publicKey), SysError);
  assert.throws(() => ecdsaSigner(privateKey), SysError);
  assert.throws(() => ecdsaVerifier(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey), SysError);
});

test('any bytes give fanotify events or a typed error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      try {
        parseFanotifyEvents(Buffer.from(bytes));
      } catch (error) {
        assert.ok(error instanceof ParseError);
      }
    }),
  );
});

function event(mask: bigint, fd: number, pid: number): Buffer {
  const bytes = Buffer.alloc(24);
  bytes.writeUInt32LE(24, 0);
  bytes.writeUInt8(3, 4);
  bytes.writeUInt16LE(24, 6);
  bytes.writeBigUInt64LE(mask, 8);
  bytes.writeInt32LE(fd, 16);
  bytes.writeInt32LE(pid, 20);
  return bytes;
}

test('an overflow of the kernel queue is an event of its own', () => {
  const bytes = Buffer.concat([event(0x1000n, 9, 77), event(0x4000n, -1, 0)]);
  assert.deepEqual(parseFanotifyEvents(bytes), [{ kind: 'exec', fd: 9, pid: 77 }, { kind: 'overflow' }]);
});

test('an execution anywhere on the file system is seen, with the file itself held open', native, (t) => {
  const script = join(temporaryFolder(t), 'ran.sh');
  writeFileSync(script, '#!/bin/sh\nrm -- "$0"\n');
  chmodSync(script, 0o755);
  let watch: ExecWatch;
  try {
    watch = new ExecWatch();
    watch.watchFileSystem(script);
  } catch (error) {
    assert.ok(error instanceof SysError);
    return t.skip(error.message);
  }
  t.after(() => watch.close());
  spawnSync(script);
  const seen: string[] = [];
  for (let round = 0; round < 20 && watch.wait(50).events; round++) {
    for (const one of watch.read()) {
      if (one.kind !== 'exec') continue;
      seen.push(readlinkSync(`/proc/self/fd/${one.fd}`));
      closeSync(one.fd);
    }
  }
  assert.ok(seen.includes(`${script} (deleted)`), seen.join('\n'));
});

test('content longer than the bound is not hashed', (t) => {
  const file = join(temporaryFolder(t), 'long');
  writeFileSync(file, 'abcd');
  const fd = openSync(file, 'r');
  t.after(() => closeSync(fd));
  assert.equal(hashContent(fd, ['sha256'], 3).digests, undefined);
  const expected = createHash('sha256').update('abcd').digest();
  assert.deepEqual(hashContent(fd, ['sha256'], 4).digests, { sha256: expected });
});
