/** Directory labels as people use them: `assay label --directories`, attacks on the tree, `assay appraise`. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { removeXattr, setXattr } from '../../src/sys/index.ts';
import { requiresMounts } from './requirements.ts';

const ASSAY = join(import.meta.dirname, '../../bin/assay');
const FILES_A_FOLDER = 300;

describe('directory labels of a tree', () => {
  let folder = '';
  const at = (name: string): string => join(folder, 'tree', name);

  function assay(...args: readonly string[]) {
    const { status, stdout, stderr } = spawnSync(ASSAY, args, { cwd: folder, encoding: 'utf8' });
    return { status, stdout, stderr };
  }

  const label = (...more: readonly string[]) =>
    assay('label', 'tree', '--xattr-user', '--sign', 'key.pem', '--root-path', '/', '--directories', ...more);
  const appraise = (...more: readonly string[]) =>
    assay('appraise', 'tree', '--xattr-user', '--key', 'key.pub', ...more);

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'assay-label-directories-'));
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(join(folder, 'key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    writeFileSync(join(folder, 'key.pub'), publicKey.export({ type: 'spki', format: 'pem' }));
    for (const name of ['small', 'large', 'small/deep']) {
      mkdirSync(at(name), { recursive: true });
      const count = name === 'large' ? FILES_A_FOLDER : 5;
      for (let i = 0; i < count; i++) writeFileSync(at(`${name}/file-${i}`), `${name} ${i}`);
    }
  });
  after(() => rmSync(folder, { recursive: true }));

  test('an untouched tree holds; its version is known', () => {
    const labelled = label('--tree-version', '7', '--json');
    assert.equal(labelled.status, 0, labelled.stderr);
    const last: unknown = JSON.parse(labelled.stdout.trim().split('\n').at(-1) ?? '');
    assert.match(
      JSON.stringify(last),
      /^\{"directories":4,"root":\{"digest":"[0-9a-f]{64}","version":7,"path":"\/"\}\}$/,
    );
    const held = appraise('--directories', '--least-version', '7', '--root-path', '/');
    assert.equal(held.status, 0, held.stdout + held.stderr);
    assert.match(held.stdout, /4 directories hold, version 7/);
    assert.equal(appraise('--least-version', '8').status, 1);
    assert.match(appraise('--root-path', '/usr').stdout, /other-root/);
  });

  const attacks: readonly (readonly [string, () => void, RegExp])[] = [
    [
      'a rename',
      () => renameSync(at('large/file-7'), at('large/renamed')),
      /^large\/renamed: entry-renamed: .*file-7/m,
    ],
    [
      'a swap',
      () => {
        renameSync(at('large/file-1'), at('x'));
        renameSync(at('large/file-2'), at('large/file-1'));
        renameSync(at('x'), at('large/file-2'));
      },
      /^large\/file-[12]: entries-swapped: .*file-/m,
    ],
    ['a deletion', () => unlinkSync(at('small/deep/file-3')), /^small\/deep\/file-3: entry-deleted/m],
    ['an addition', () => writeFileSync(at('large/new'), 'new'), /^large\/new: entry-added/m],
    [
      'a change of type',
      () => {
        unlinkSync(at('small/file-0'));
        symlinkSync('file-1', at('small/file-0'));
      },
      /^small\/file-0: entry-type-changed/m,
    ],
  ];

  for (const [name, attack, expected] of attacks) {
    test(`${name} is named, while every unsigned label was written anew`, () => {
      assert.equal(label().status, 0);
      attack();
      const found = appraise();
      assert.equal(found.status, 1);
      assert.match(found.stdout, expected);
      // Who has no key can only write labels that say they are nobody's
      assert.equal(assay('label', 'tree', '--xattr-user', '--directories').status, 0);
      const rewritten = appraise('--require-signature');
      assert.equal(rewritten.status, 1);
      assert.match(rewritten.stdout, /unprotected/);
    });
  }

  test('a root label that was taken away or broken is missed by whoever says what it must hold', () => {
    assert.equal(label('--tree-version', '7').status, 0);
    setXattr(at('.'), 'user.assay.dir', Buffer.from('ADIR'));
    assert.match(appraise().stdout, /^\.: malformed-directory-label/m);
    removeXattr(at('.'), 'user.assay.dir');
    assert.equal(appraise().status, 0);
    for (const expected of [['--directories'], ['--least-version', '7'], ['--root-path', '/']]) {
      const found = appraise(...expected);
      assert.equal(found.status, 1, expected.join(' '));
      assert.match(found.stdout, /^\.: missing-directory-label/m);
    }
    assert.equal(appraise('--no-directories', '--least-version', '7').status, 2);
  });

  test('the mode of a directory is covered where that was asked for, as its label says', () => {
    chmodSync(at('small'), 0o755);
    assert.equal(label('--directory-metadata').status, 0);
    assert.equal(appraise().status, 0);
    assert.match(assay('label', 'show', 'tree/small').stdout, /directory mode 0755, owner \d+:\d+, attributes /);
    chmodSync(at('small'), 0o777);
    const found = appraise();
    assert.equal(found.status, 1);
    assert.match(found.stdout, /^small: metadata-changed: .*expected mode 0755, .*found mode 0777, /m);
    assert.equal(label().status, 0);
    assert.equal(appraise().status, 0);
    const alone = assay('label', 'tree', '--xattr-user', '--directory-metadata');
    assert.equal(alone.status, 2);
    assert.match(alone.stderr, /add --directories/);
  });

  test('filters choose whose labels are taken away', () => {
    assert.equal(label().status, 0);
    const cleared = (...more: readonly string[]): number => {
      const lines = assay('label', 'clear', 'tree', '--xattr-user', '--dry-run', '--json', ...more)
        .stdout.trim()
        .split('\n');
      return JSON.parse(lines.at(-1) ?? '').directories ?? 0;
    };
    assert.equal(cleared(), 4);
    assert.equal(cleared('--exclude', 'small'), 2);
    assert.equal(cleared('--include', 'small/**'), 0, 'it names files');
  });

  test('parts of directories, and a journal within the tree, are refused', () => {
    for (const more of [
      ['--exclude', '*.tmp'],
      ['--journal', join(folder, 'tree/journal')],
    ]) {
      const refused = label(...more);
      assert.equal(refused.status, 2, refused.stdout);
      assert.doesNotMatch(refused.stderr, /\n {4}at /);
    }
  });

  test(
    'a tree that was labelled while something was mounted within it holds when nothing is, and back',
    requiresMounts(),
    () => {
      const point = at('point');
      mkdirSync(point);
      const whileMounted = (use: () => void): void => {
        assert.equal(spawnSync('mount', ['-t', 'tmpfs', 'none', point]).status, 0);
        try {
          writeFileSync(join(point, 'file'), 'hidden when it is offline');
          use();
        } finally {
          assert.equal(spawnSync('umount', [point]).status, 0);
        }
      };
      const holds = (): void => {
        const { status, stdout, stderr } = appraise('--directories', '--one-file-system');
        assert.equal(status, 0, stdout + stderr);
      };
      for (const form of ['portable', 'bound']) {
        // What is hidden under a mount keeps an older label, if it has one.
        assert.equal(assay('label', 'clear', 'tree', '--xattr-user').status, 0);
        whileMounted(() => {
          assert.equal(label(form, '--one-file-system').status, 0);
          holds();
        });
        holds();
        assert.equal(label(form).status, 0);
        whileMounted(holds);
      }
      mkdirSync(join(point, 'new'));
      assert.match(appraise().stdout, /^point\/new: entry-added/m);
      rmSync(point, { recursive: true });
    },
  );

  test('labels are taken away again', () => {
    label();
    assert.match(assay('label', 'clear', 'tree', '--xattr-user').stdout, /4 directory labels taken away/);
    assert.match(appraise('--directories').stdout, /missing-directory-label/);
  });
});
