import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ParseError } from '../../bytes/index.ts';
import { type EntryChange, explainDifference, listDifference } from './compare.ts';
import { type DirectoryEntry, ENTRY_TYPES, linkDigest, sortedEntries } from './entry.ts';
import { type DirectoryLabel, detailOf, encodeDirectoryLabel, parseDirectoryLabel, signedDigest } from './label.ts';
import { type EntryMark, markOf } from './mark.ts';
import { SKETCH_SIZE, sketchDifference, sketchOf } from './mark-sketch.ts';
import { directoryDigest } from './merkle.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

function file(name: string, content: string, ino = 7n): DirectoryEntry {
  return { name: bytes(name), type: 'file', digest: linkDigest('sha256', bytes(content)), ino };
}

const arbitraryEntries = fc
  .uniqueArray(
    fc.record({
      name: fc.uint8Array({ minLength: 1, maxLength: 255 }),
      type: fc.constantFrom(...ENTRY_TYPES),
      digest: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      ino: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    }),
    { selector: ({ name }) => Buffer.from(name).toString('hex'), maxLength: 60 },
  )
  .map(sortedEntries);

function labelOf(entries: readonly DirectoryEntry[], more: Partial<DirectoryLabel> = {}): DirectoryLabel {
  return {
    form: 'portable',
    algorithm: 'sha256',
    digest: directoryDigest('portable', 'sha256', entries, 0n),
    version: 3n,
    place: { kind: 'root', path: bytes('/usr') },
    detail: detailOf(entries.map(markOf)),
    signature: new Uint8Array(),
    ...more,
  };
}

test('a digest is over names, types and digests; in the bound form over inodes too', () => {
  const before = [file('a', 'one'), file('b', 'two')];
  const value = (entries: DirectoryEntry[], form: 'portable' | 'bound' = 'portable', ino = 1n): string =>
    directoryDigest(form, 'sha256', entries, ino).toString('hex');
  const others = [
    [file('a', 'two'), file('b', 'one')],
    [file('a', 'one'), file('c', 'two')],
    [file('a', 'one')],
    [file('a', 'one'), { ...file('b', 'two'), type: 'link' as const }],
    [file('a', 'one'), file('b', 'two'), file('c', '')],
  ];
  assert.equal(new Set([before, ...others].map((entries) => value(entries))).size, 6);
  const moved = [file('a', 'one', 8n), file('b', 'two')];
  assert.equal(value(moved), value(before));
  assert.notEqual(value(moved, 'bound'), value(before, 'bound'));
  assert.notEqual(value(before, 'bound', 2n), value(before, 'bound'));
});

/** Computed by Python's hashlib over the bytes that the docstring of directoryDigest describes. */
test('the digest of a known directory', () => {
  const entries = [{ name: bytes('x'), type: 'file' as const, digest: new Uint8Array(32).fill(0xab), ino: 5n }];
  assert.equal(
    directoryDigest('portable', 'sha256', entries, 9n).toString('hex'),
    'd5ff863f645f6e760393962189718b6a4465f5d524557082081ee2613e02974c',
  );
  assert.equal(
    directoryDigest('bound', 'sha256', entries, 9n).toString('hex'),
    '9bf9a16637104aaa3dae52c01b5b182173fda2bd05f669188caacf5d5cb7e0b8',
  );
});

const arbitraryMetadata = fc.option(
  fc.record({
    mode: fc.nat(0o7777),
    uid: fc.nat(2 ** 32 - 1),
    gid: fc.nat(2 ** 32 - 1),
    attributes: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  }),
  { nil: undefined },
);

const METADATA = { mode: 0o755, uid: 0, gid: 5, attributes: new Uint8Array(32).fill(0xcd) };

/** Written by hand from the docstring of encodeDirectoryLabel; what is signed is computed by Python's hashlib over them. */
test('a known label, without and with the metadata of its directory', () => {
  const label = {
    ...labelOf([]),
    digest: new Uint8Array(32).fill(0xab),
    place: { kind: 'root', path: bytes('/') },
  } as const;
  const [start, end] = [`0400000000000000000300012f${'ab'.repeat(32)}`, '000000'];
  const hex = (value: DirectoryLabel): string => Buffer.from(encodeDirectoryLabel(value)).toString('hex');
  assert.equal(hex(label), `414449520100${start}${end}0000`);
  assert.equal(
    hex({ ...label, metadata: METADATA }),
    `414449520200${start}01ed0000000000000005${'cd'.repeat(32)}${end}0000`,
  );
  assert.deepEqual(
    [signedDigest(label), signedDigest({ ...label, metadata: METADATA })].map((value) => value.toString('hex')),
    [
      '30d2815ccff423a5e569e3ce69046ce125bfd4cbcf4ea4ccc2ddc8b3736ddbf6',
      '9103b9b5ae90f09e4efe9d0c10487905b37036a864b5167cfe72da85061c3059',
    ],
  );
});

test('a label is read as it was written', () => {
  fc.assert(
    fc.property(
      arbitraryEntries,
      fc.uint8Array({ maxLength: 600 }),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      arbitraryMetadata,
      (entries, signature, version, metadata) => {
        const label = labelOf(entries, { signature, version, ...(metadata === undefined ? {} : { metadata }) });
        const written = encodeDirectoryLabel(label);
        const read = parseDirectoryLabel(written);
        assert.deepEqual(Buffer.from(encodeDirectoryLabel(read)), Buffer.from(written));
        assert.deepEqual(signedDigest(read), signedDigest(label));
        assert.equal(read.version, version);
      },
    ),
  );
});

for (const [kind, metadata] of [
  ['without', {}],
  ['with', { metadata: METADATA }],
] as const)
  test(`a changed byte before the signature changes what is signed, or is refused: ${kind} metadata`, () => {
    const label = labelOf([file('a', 'one'), file('b', 'two')], { signature: Buffer.alloc(70, 1), ...metadata });
    const written = encodeDirectoryLabel(label);
    for (let at = 0; at < written.length - 72; at++) {
      const changed = Buffer.from(written);
      changed[at] = (changed[at] ?? 0) ^ 1;
      try {
        assert.notDeepEqual(signedDigest(parseDirectoryLabel(changed)), signedDigest(label), `byte ${at}`);
      } catch (error) {
        if (!(error instanceof ParseError)) throw error;
      }
    }
  });

test('any bytes give a label or a parse error', () => {
  const whole = Buffer.from(encodeDirectoryLabel(labelOf([file('a', 'one'), file('abc', 'two')])));
  const cut = fc
    .tuple(fc.nat(whole.length), fc.uint8Array({ maxLength: 40 }))
    .map(([at, tail]) => Buffer.concat([whole.subarray(0, at), tail]));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), cut), (input) => {
      try {
        parseDirectoryLabel(input);
      } catch (error) {
        if (!(error instanceof ParseError)) throw error;
      }
    }),
  );
});

const words = (changes: readonly EntryChange[]): string[] =>
  changes.map((change) => {
    const name = (mark: EntryMark): string => Buffer.from(mark.name).toString();
    switch (change.kind) {
      case 'swapped':
        return `swapped ${name(change.first)} ${name(change.second)}`;
      case 'added':
      case 'deleted':
        return `${change.kind} ${name(change.entry)}`;
      default:
        return `${change.kind} ${name(change.before)} ${name(change.now)}`;
    }
  });

const CASES: readonly (readonly [string, readonly DirectoryEntry[], string])[] = [
  ['a renamed file', [file('a', '1'), file('b', '2'), file('d', '3')], 'renamed c d'],
  ['two files whose contents changed places', [file('a', '2'), file('b', '1'), file('c', '3')], 'swapped a b'],
  ['a deleted file', [file('a', '1'), file('c', '3')], 'deleted b'],
  ['an added file', [file('a', '1'), file('b', '2'), file('c', '3'), file('x', '9')], 'added x'],
  [
    'a file that became a link',
    [{ ...file('a', 'x'), type: 'link' }, file('b', '2'), file('c', '3')],
    'type-changed a a',
  ],
  ['a changed file', [file('a', '1'), file('b', 'other'), file('c', '3')], 'content-changed b b'],
];

for (const [name, now, expected] of CASES) {
  test(`${name} is named, from the list and from the sketch`, () => {
    const before = [file('a', '1'), file('b', '2'), file('c', '3')].map(markOf);
    assert.deepEqual(words(explainDifference(listDifference(before, now.map(markOf)))), [expected]);
    const difference = sketchDifference(sketchOf(before), now.map(markOf));
    assert.ok(difference !== undefined);
    assert.deepEqual(words(explainDifference(difference)), [expected]);
  });
}

test('a sketch has one size, and tells a few differences in a directory of thousands', () => {
  const before = Array.from({ length: 5000 }, (_, i) =>
    file(`a rather long file name, number ${i} of them, as they are`, `${i}`),
  );
  const now = before.filter((_, i) => i % 500 !== 3);
  const label = labelOf(sortedEntries(before));
  assert.equal(label.detail.kind, 'sketch');
  assert.ok(encodeDirectoryLabel(label).length < SKETCH_SIZE + 100);
  const difference = sketchDifference(sketchOf(before.map(markOf)), now.map(markOf));
  assert.equal(difference?.onlyBefore.length, 10);
  assert.equal(difference?.onlyNow.length, 0);
  assert.ok(difference?.onlyBefore.every(({ isWhole }) => !isWhole));
});

test('too many differences, or a table that is none, are said to be too many', () => {
  const before = Array.from({ length: 200 }, (_, i) => markOf(file(`${i}`, `${i}`)));
  assert.equal(sketchDifference(sketchOf(before), []), undefined);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: SKETCH_SIZE, maxLength: SKETCH_SIZE }), (noise) => {
      const label = parseDirectoryLabel(
        encodeDirectoryLabel({ ...labelOf([]), detail: { kind: 'sketch', sketch: sketchOf([]) } }),
      );
      if (label.detail.kind !== 'sketch') throw new Error('wrote a sketch');
      label.detail.sketch.set(noise);
      sketchDifference(label.detail.sketch, before.slice(0, 5));
    }),
    { numRuns: 50 },
  );
});
