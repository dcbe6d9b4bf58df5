import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { compileReference } from './compile.ts';
import { templateKey } from './template-key.ts';
import type { ReferenceManifest } from './types.ts';

const D1 = `sha256:${'11'.repeat(32)}` as const;
const D2 = `sha256:${'22'.repeat(32)}` as const;
const D3 = `sha256:${'33'.repeat(32)}` as const;
const SHA1 = `sha1:${'44'.repeat(20)}` as const;

function reference(parts: Partial<ReferenceManifest>) {
  return compileReference({
    assayReference: 1,
    name: 'test',
    created: '2026-11-23T00:00:00Z',
    self: false,
    files: [],
    pending: [],
    deny: [],
    ...parts,
  });
}

test('the template key is the SHA-256 of what the kernel hashes', () => {
  // boot_aggregate of a kernel without a TPM, as ima-ng: d-ng = "sha1:" NUL 20 zeros, n-ng = "boot_aggregate" NUL.
  const data = Buffer.from(`1a000000${'736861313a00'}${'00'.repeat(20)}0f000000626f6f745f61676772656761746500`, 'hex');
  const expected = hash('sha256', data, 'binary');
  assert.equal(templateKey('boot_aggregate', `sha1:${'00'.repeat(20)}`), expected);
});

test('approval is by path and digest together', () => {
  const compiled = reference({
    files: [
      { path: '/usr/bin/a', digests: [D1] },
      { path: '/usr/bin/b', digests: [D2] },
    ],
  });
  assert.ok(compiled.approved.has(templateKey('/usr/bin/a', D1)));
  assert.ok(!compiled.approved.has(templateKey('/usr/bin/a', D2)));
  assert.deepEqual(compiled.judge('/usr/bin/a', D2), { kind: 'changed', expected: [D1], origin: undefined });
  assert.deepEqual(compiled.judge('/tmp/a', D1), { kind: 'unknown', contentOf: '/usr/bin/a' });
  assert.deepEqual(compiled.judge('/tmp/a', D3), { kind: 'unknown', contentOf: undefined });
});

test('a deny rule beats every approval, by path, by digest, by both', () => {
  const files = [{ path: '/usr/bin/a', digests: [D1, D2] }];
  const byPath = reference({ files, deny: [{ path: '/usr/**', reason: 'no' }] });
  assert.equal(byPath.approved.size, 0);
  assert.equal(byPath.judge('/usr/bin/a', D1).kind, 'denied');
  const byDigest = reference({ files, deny: [{ digest: D1, reason: 'no' }] });
  assert.ok(!byDigest.approved.has(templateKey('/usr/bin/a', D1)));
  assert.ok(byDigest.approved.has(templateKey('/usr/bin/a', D2)));
  assert.equal(byDigest.judge('/elsewhere', D1).kind, 'denied');
  const both = reference({ files, deny: [{ path: '/usr/bin/a', digest: D2, reason: 'no' }] });
  assert.equal(both.judge('/usr/bin/a', D2).kind, 'denied');
  assert.equal(both.judge('/usr/bin/a', D1).kind, 'approved');
});

test('a glob approves its digests, anchored', () => {
  const compiled = reference({ files: [{ path: '/opt/*/bin', digests: [D1], origin: 'opt' }] });
  assert.deepEqual(compiled.judge('/opt/x/bin', D1), { kind: 'approved', weak: false, origin: 'opt' });
  assert.equal(compiled.judge('/opt/x/bin', D2).kind, 'changed');
  assert.equal(compiled.judge('/opt/x/bin2', D1).kind, 'unknown');
});

test('a path with spaces is found as the kernel lists it', () => {
  const compiled = reference({ files: [{ path: '/opt/a b', digests: [D1] }] });
  assert.ok(compiled.approved.has(templateKey('/opt/a_b', D1)));
  assert.ok(compiled.approved.has(templateKey('/opt/a b', D1)));
  assert.equal(compiled.judge('/opt/a_b', D2).kind, 'changed');
});

test('pending files are told apart by reason, with what the path should be', () => {
  const pending = { path: '/usr/bin/a', digest: D2, reason: 'modified', origin: 'coreutils' } as const;
  const compiled = reference({ files: [{ path: '/usr/bin/a', digests: [D1] }], pending: [pending] });
  assert.deepEqual(compiled.judge('/usr/bin/a', D2), { kind: 'pending', file: pending, expected: [D1] });
  assert.equal(compiled.judge('/usr/bin/a', D3).kind, 'changed');
});

test('a broken digest algorithm approves weakly only', () => {
  const compiled = reference({ files: [{ path: '/a', digests: [SHA1] }] });
  assert.equal(compiled.approved.size, 0);
  assert.deepEqual(compiled.judge('/a', SHA1), { kind: 'approved', weak: true, origin: undefined });
});

test('entries for one path are one, and expiry is by the deadline', () => {
  const compiled = reference({
    validUntil: 1000,
    files: [
      { path: '/a', digests: [D1] },
      { path: '/a', digests: [D2] },
    ],
  });
  assert.equal(compiled.judge('/a', D2).kind, 'approved');
  assert.ok(!compiled.hasExpired(1000));
  assert.ok(compiled.hasExpired(1001));
});
