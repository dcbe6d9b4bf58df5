import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ManifestError } from './error.ts';
import { canonicalManifest, manifestId, parseManifest } from './manifest.ts';
import type { ReferenceManifest } from './types.ts';

const D1 = `sha256:${'11'.repeat(32)}` as const;
const D2 = `sha256:${'22'.repeat(32)}` as const;

const MANIFEST: ReferenceManifest = {
  assayReference: 1,
  name: 'web servers',
  created: '2026-11-23T00:00:00Z',
  self: false,
  validUntil: 2_000_000_000_000,
  boot: {
    pcrs: { sha256: { 7: ['ab'.repeat(32)] } },
    events: [{ pcr: 4, digest: D1, description: 'boot manager', required: true }],
  },
  files: [
    { path: '/usr/bin/ls', digests: [D1, D2], origin: 'coreutils' },
    { path: '/opt/**', digests: [D2] },
  ],
  pending: [{ path: '/usr/local/bin/x', digest: D1, reason: 'unpackaged' }],
  violations: ['/var/log/**'],
  deny: [
    { path: '/usr/bin/nc', reason: 'not here' },
    { digest: D2, reason: 'CVE' },
  ],
};

test('a manifest survives its JSON', () => {
  assert.deepEqual(parseManifest(JSON.stringify(MANIFEST)), MANIFEST);
});

test('the identity does not depend on the order of keys and lists, and on everything else', () => {
  const [ls, opt] = MANIFEST.files;
  const reordered = Object.fromEntries(Object.entries({ ...MANIFEST, files: [opt, ls] }).reverse());
  assert.equal(manifestId(parseManifest(JSON.stringify(reordered))), manifestId(MANIFEST));
  for (const change of [
    { name: 'x' },
    { self: true },
    { deny: [] },
    { validUntil: 1 },
    { violations: [] },
    { files: [] },
  ]) {
    assert.notEqual(manifestId({ ...MANIFEST, ...change }), manifestId(MANIFEST));
  }
  assert.equal(canonicalManifest(parseManifest(canonicalManifest(MANIFEST))), canonicalManifest(MANIFEST));
});

function refusal(value: unknown): ManifestError {
  try {
    parseManifest(typeof value === 'string' ? value : JSON.stringify(value));
  } catch (error) {
    if (error instanceof ManifestError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

test('what is wrong is named by its place', () => {
  const cases: readonly (readonly [unknown, string])[] = [
    ['{', '$'],
    [{}, '$.assayReference'],
    [{ ...MANIFEST, assayReference: 2 }, '$.assayReference'],
    [{ ...MANIFEST, extra: 1 }, '$.extra'],
    [{ ...MANIFEST, self: 'no' }, '$.self'],
    [{ ...MANIFEST, files: [{ path: 'usr', digests: [D1] }] }, '$.files[0].path'],
    [{ ...MANIFEST, files: [{ path: '/a', digests: [] }] }, '$.files[0].digests'],
    [{ ...MANIFEST, files: [{ path: '/a', digests: ['sha256:11'] }] }, '$.files[0].digests[0]'],
    [{ ...MANIFEST, files: [{ path: '/a', digests: ['crc32:11'] }] }, '$.files[0].digests[0]'],
    [{ ...MANIFEST, pending: [{ path: '/a', digest: D1, reason: 'x' }] }, '$.pending[0].reason'],
    [{ ...MANIFEST, deny: [{ reason: 'x' }] }, '$.deny[0]'],
    [{ ...MANIFEST, boot: { pcrs: { sha256: { 24: [] } }, events: [] } }, '$.boot.pcrs.sha256.24'],
    [{ ...MANIFEST, boot: { pcrs: { sha256: { 7: ['ab'] } }, events: [] } }, '$.boot.pcrs.sha256.7[0]'],
  ];
  for (const [value, place] of cases) assert.equal(refusal(value).place, place);
  assert.equal(refusal({ ...MANIFEST, assayReference: 2 }).code, 'reference.unknown-version');
});

test('a pattern has a bounded number of wildcards', () => {
  const withPath = (path: string) => ({ ...MANIFEST, files: [{ path, digests: [D1] }] });
  for (const wildcard of ['/**', '/*']) {
    const most = wildcard === '/**' ? 16 : 64;
    assert.equal(parseManifest(JSON.stringify(withPath(wildcard.repeat(most)))).files.length, 1);
    const refused = refusal(withPath(wildcard.repeat(most + 1)));
    assert.deepEqual([refused.code, refused.place], ['reference.too-large', '$.files[0].path']);
  }
});

test('any JSON gives a manifest or a typed error', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), (json) => {
      try {
        parseManifest(json);
      } catch (error) {
        assert.ok(error instanceof ManifestError, String(error));
      }
    }),
    { numRuns: 200 },
  );
});
