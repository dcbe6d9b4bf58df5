/** Whole trees on a real file system, labelled, changed behind the labels' back, and appraised. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Keyring, readPublicKeys } from '../../digsig/index.ts';
import { getXattr, removeXattr, setXattr } from '../../sys/index.ts';
import { labelTree } from '../label.ts';
import type { Problem } from '../problem.ts';
import { type AppraiseDirectoriesOptions, appraiseDirectories } from './appraise-directories.ts';
import { FileDigests } from './file-digests.ts';
import { type LabelDirectoriesOptions, labelDirectories } from './label-directories.ts';
import { readTree } from './read-tree.ts';

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const signer = { key: Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })), source: 'test key' };
const keyring = new Keyring(readPublicKeys(publicKey.export({ type: 'spki', format: 'der' }), { source: 'test key' }));

class Tree {
  readonly path = mkdtempSync(join(tmpdir(), 'assay-directories-'));

  constructor() {
    for (const folder of ['etc', 'lib/deep/er', 'empty']) mkdirSync(join(this.path, folder), { recursive: true });
    for (const name of ['etc/a', 'etc/b', 'lib/one', 'lib/two', 'lib/deep/x', 'lib/deep/er/y']) this.write(name, name);
    symlinkSync('../lib/one', this.at('etc/link'));
    linkSync(this.at('lib/one'), this.at('lib/deep/same'));
  }

  at(name: string): string {
    return join(this.path, name);
  }

  write(name: string, content: string): void {
    writeFileSync(this.at(name), content);
  }

  label(options: Partial<LabelDirectoriesOptions> = {}): bigint | undefined {
    const result = labelDirectories(this.path, {
      digests: new FileDigests('sha256'),
      signer,
      namespace: 'user',
      now: 1000,
      rootPath: '/srv/tree',
      onProblem: (problem) => assert.fail(problem.code),
      ...options,
    });
    return result.root?.version;
  }

  /** `path: cause (expected → found)`, sorted. */
  appraise(options: Partial<AppraiseDirectoriesOptions> = {}): string[] {
    const bad: string[] = [];
    appraiseDirectories(this.path, {
      digests: new FileDigests('sha256'),
      form: 'portable',
      keyring,
      namespace: 'user',
      onBad: ({ path, cause, expected, found }) => bad.push(`${Buffer.from(path)}: ${cause} (${expected} → ${found})`),
      onProblem: (problem) => assert.fail(problem.code),
      ...options,
    });
    return bad.toSorted();
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

test('a labelled tree holds, and so does its copy; a bound one only where it was made', () => {
  using tree = new Tree();
  tree.label();
  assert.deepEqual(tree.appraise({ rootPath: '/srv/tree', leastVersion: 1000n }), []);
  tree.label({ form: 'bound' });
  assert.deepEqual(tree.appraise({ form: 'bound' }), []);
  const same = readFileSync(tree.at('etc/a'));
  renameSync(tree.at('etc/a'), tree.at('../assay-old-inode'));
  writeFileSync(tree.at('etc/a'), same);
  rmSync(tree.at('../assay-old-inode'));
  const bad = tree.appraise({ form: 'bound' });
  assert.match(bad[0] ?? '', /^etc: inode-changed/);
});

const ATTACKS: readonly (readonly [string, (tree: Tree) => void, readonly string[]])[] = [
  ['a rename', (tree) => renameSync(tree.at('etc/a'), tree.at('etc/z')), ['etc/z: entry-renamed (a → z)']],
  [
    'a swap',
    (tree) => {
      renameSync(tree.at('etc/a'), tree.at('etc/t'));
      renameSync(tree.at('etc/b'), tree.at('etc/a'));
      renameSync(tree.at('etc/t'), tree.at('etc/b'));
    },
    ['etc/a: entries-swapped (a → b)'],
  ],
  ['a deletion', (tree) => unlinkSync(tree.at('lib/deep/x')), ['lib/deep/x: entry-deleted (file → nothing)']],
  ['an addition', (tree) => tree.write('lib/deep/er/evil', 'evil'), ['lib/deep/er/evil: entry-added (nothing → file)']],
  [
    'a change of type',
    (tree) => {
      unlinkSync(tree.at('etc/b'));
      symlinkSync('a', tree.at('etc/b'));
    },
    ['etc/b: entry-type-changed (file → link)'],
  ],
  [
    'a move to another directory',
    (tree) => renameSync(tree.at('etc/a'), tree.at('lib/deep/a')),
    ['lib/deep/a: entry-moved (etc/a → lib/deep/a)'],
  ],
  [
    'a link that points elsewhere',
    (tree) => {
      unlinkSync(tree.at('etc/link'));
      symlinkSync('/tmp', tree.at('etc/link'));
    },
    ['etc/link: entry-content-changed'],
  ],
  [
    'a directory renamed',
    (tree) => renameSync(tree.at('empty'), tree.at('full')),
    ['full: entry-renamed (empty → full)', 'full: other-place'],
  ],
  [
    'a stripped label',
    (tree) => removeXattr(tree.at('lib/deep'), 'user.assay.dir'),
    ['lib/deep: missing-directory-label (a label → none)'],
  ],
  [
    'a label that is none',
    (tree) => setXattr(tree.at('etc'), 'user.assay.dir', Buffer.from('x')),
    ['etc: malformed-directory-label'],
  ],
];

for (const [name, attack, expected] of ATTACKS) {
  test(`${name} is found and named, and nothing else`, () => {
    using tree = new Tree();
    tree.label();
    attack(tree);
    const bad = tree.appraise();
    assert.equal(bad.length, expected.length, bad.join('\n'));
    for (const [i, line] of expected.entries()) assert.ok(bad[i]?.startsWith(line), `${bad[i]} is not ${line}`);
  });
}

test('labels that an attacker writes anew without the key are unprotected, each of them', () => {
  using tree = new Tree();
  const { signer: _, ...unsigned } = { signer, digests: new FileDigests('sha256') };
  tree.label();
  tree.write('etc/a', 'evil');
  labelDirectories(tree.path, { ...unsigned, namespace: 'user', now: 1000, onProblem: () => undefined });
  const bad = tree.appraise();
  assert.equal(bad.length, 6);
  assert.ok(
    bad.every((line) => line.includes(': unprotected (')),
    bad.join('\n'),
  );
  // Without a key there is nothing better to compare with
  assert.deepEqual(tree.appraise({ keyring: undefined as never }), []);
});

test('an older signed subtree put back is named, and an older tree where its keeper knows the version', () => {
  using tree = new Tree();
  tree.label();
  const before = new Map(
    ['', 'etc', 'lib', 'lib/deep', 'lib/deep/er', 'empty'].map((name) => [
      name,
      getXattr(tree.at(name), 'user.assay.dir'),
    ]),
  );
  tree.write('lib/deep/x', 'a security repair');
  assert.equal(tree.label({ now: 2000 }), 2000n);
  assert.deepEqual(tree.appraise({ leastVersion: 2000n }), []);
  tree.write('lib/deep/x', 'lib/deep/x');
  for (const name of ['lib/deep', 'lib/deep/er'])
    setXattr(tree.at(name), 'user.assay.dir', before.get(name) ?? Buffer.alloc(0));
  const bad = tree.appraise();
  assert.ok(
    bad.some((line) => line.startsWith('lib/deep: older-version (version 2000 → version 1000)')),
    bad.join('\n'),
  );
  for (const [name, value] of before) setXattr(tree.at(name), 'user.assay.dir', value ?? Buffer.alloc(0));
  assert.deepEqual(tree.appraise(), []);
  assert.deepEqual(tree.appraise({ leastVersion: 2000n }), [': older-tree (version 2000 or later → version 1000)']);
});

test('what would be signed as a directory label is signed as no file', async () => {
  using tree = new Tree();
  tree.write('etc/a', 'assay directory label 1\0and so on');
  const problems: string[] = [];
  const onProblem = (problem: Problem): number => problems.push(`${Buffer.from(problem.path)}: ${problem.code}`);
  await labelTree(tree.path, { signer, namespace: 'user', jobs: 1, onProblem });
  assert.deepEqual(problems, ['etc/a: directory-label-content']);
  assert.equal(getXattr(tree.at('etc/a'), 'user.ima'), undefined);
});

test('another key’s signature is none', () => {
  using tree = new Tree();
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  tree.label({
    signer: { key: Buffer.from(other.privateKey.export({ type: 'pkcs8', format: 'pem' })), source: 'other' },
  });
  const bad = tree.appraise();
  assert.ok(bad.every((line) => line.includes('invalid-directory-signature')) && bad.length === 6, bad.join('\n'));
});

/** What is known of each directory's other entries. */
function proofs(tree: Tree): Record<string, string> {
  const found: (readonly [string, string])[] = [];
  tree.appraise({ onDirectory: ({ path, proof }) => found.push([Buffer.from(path).toString(), proof]) });
  return Object.fromEntries(found);
}

test('with the changes taken back a folder is proven by its digest, as far as nothing is gone', () => {
  using tree = new Tree();
  tree.label();
  const ALL = { '': 'digest', empty: 'digest', etc: 'digest', lib: 'digest', 'lib/deep': 'digest' };
  assert.deepEqual(proofs(tree), { ...ALL, 'lib/deep/er': 'digest' });
  renameSync(tree.at('etc/a'), tree.at('etc/t'));
  renameSync(tree.at('etc/b'), tree.at('etc/a'));
  renameSync(tree.at('etc/t'), tree.at('etc/b'));
  renameSync(tree.at('lib/deep/er/y'), tree.at('lib/deep/er/z'));
  tree.write('lib/deep/new', 'new');
  assert.deepEqual(proofs(tree), { ...ALL, 'lib/deep/er': 'digest' });
  // Above it, the label of the folder says what it was.
  unlinkSync(tree.at('lib/deep/er/z'));
  assert.deepEqual(proofs(tree), { ...ALL, 'lib/deep/er': 'marks' });
  tree.write('lib/two', 'other');
  assert.deepEqual(proofs(tree), { ...ALL, lib: 'marks', 'lib/deep/er': 'marks' });
});

test('a large folder that is not proven by its digest is not at all', () => {
  using tree = new Tree();
  for (let i = 0; i < 300; i++) tree.write(`etc/file-${i}`, `${i}`);
  tree.label();
  renameSync(tree.at('etc/file-7'), tree.at('etc/renamed'));
  assert.equal(proofs(tree).etc, 'digest');
  unlinkSync(tree.at('etc/file-8'));
  assert.equal(proofs(tree).etc, 'nothing');
});

test('each labelling has a later version, also within a second', () => {
  using tree = new Tree();
  assert.deepEqual([tree.label(), tree.label(), tree.label({ now: 5000 })], [1000n, 1001n, 5000n]);
});

test('signed files that the journal knows are not read again for their directories', async () => {
  using tree = new Tree();
  const journal = join(tmpdir(), `assay-journal-${process.pid}`);
  const old = new Date(Date.now() - 60_000);
  for (const name of ['etc/a', 'etc/b', 'lib/one', 'lib/two', 'lib/deep/x', 'lib/deep/er/y']) {
    utimesSync(tree.at(name), old, old);
  }
  const runOver = async (): Promise<{ digests: FileDigests; unchanged: number }> => {
    const digests = new FileDigests('sha256');
    const onFile = ({ path, digest }: { path: Uint8Array; digest?: Uint8Array }): void => {
      if (digest !== undefined) digests.add(path, digest);
    };
    const { changes } = await labelTree(tree.path, { namespace: 'user', signer, journal, onFile });
    return { digests, unchanged: changes.unchanged };
  };
  const rootOf = (digests: FileDigests): Uint8Array | undefined => {
    const onProblem = (problem: Problem): void => assert.fail(problem.code);
    const options = { digests, signer, namespace: 'user', now: 1000, onProblem } as const;
    return labelDirectories(tree.path, options).root?.digest;
  };
  try {
    const first = rootOf((await runOver()).digests);
    const again = await runOver();
    assert.equal(again.unchanged, 7, 'each name of each file');
    // Whoever reads a file now finds another content.
    for (const name of ['etc/a', 'etc/b', 'lib/one', 'lib/two', 'lib/deep/x', 'lib/deep/er/y'])
      tree.write(name, 'trap');
    assert.deepEqual(rootOf(again.digests), first);
    assert.notDeepEqual(rootOf((await runOver()).digests), first);
  } finally {
    rmSync(journal, { force: true });
  }
});

/** An ACL of the kernel's (linux/posix_acl_xattr.h): what the twelve bits of a mode say, and one user more. */
function aclWithUser(uid: number): Buffer {
  const entries = [
    [0x01, 7, -1],
    [0x02, 7, uid],
    [0x04, 5, -1],
    [0x10, 7, -1],
    [0x20, 5, -1],
  ] as const;
  const acl = Buffer.alloc(4 + 8 * entries.length);
  acl.writeUInt32LE(2, 0);
  for (const [i, [tag, permissions, id]] of entries.entries()) {
    acl.writeUInt16LE(tag, 4 + 8 * i);
    acl.writeUInt16LE(permissions, 6 + 8 * i);
    acl.writeInt32LE(id, 8 + 8 * i);
  }
  return acl;
}

const METADATA_ATTACKS: readonly (readonly [string, (tree: Tree) => void, RegExp])[] = [
  ['a mode', (tree) => chmodSync(tree.at('lib/deep'), 0o777), /^lib\/deep: .*mode 0755.* → mode 0777/],
  ['a sticky bit', (tree) => chmodSync(tree.at('lib/deep'), 0o1755), /^lib\/deep: .* → mode 1755/],
  ['the mode of the root', (tree) => chmodSync(tree.path, 0o711), /^: .* → mode 0711/],
  ['the mode of an empty directory', (tree) => chmodSync(tree.at('empty'), 0o777), /^empty: .* → mode 0777/],
  [
    'an ACL for what is made in it',
    (tree) => setXattr(tree.at('etc'), 'system.posix_acl_default', aclWithUser(1000)),
    /^etc: .*mode 0755, owner \d+:\d+, attributes \w+… → mode 0755, /,
  ],
];

test('a directory’s own mode, owner and attributes are covered where the label was made so, and else left open', () => {
  using tree = new Tree();
  const label = (metadata: boolean) => tree.label({ metadata });
  for (const [what, attack, expected] of METADATA_ATTACKS) {
    const modes = ['', 'etc', 'lib/deep', 'empty'].map((name) => chmodSync(tree.at(name), 0o755));
    assert.ok(modes.length > 0);
    label(true);
    assert.deepEqual(tree.appraise({ coversMetadata: true }), [], what);
    attack(tree);
    const bad = tree.appraise({ coversMetadata: true });
    assert.equal(bad.length, 1, `${what}: ${bad.join('\n')}`);
    assert.match(bad[0] ?? '', expected);
    assert.ok(bad[0]?.includes(': metadata-changed ('));
    label(false);
    assert.deepEqual(tree.appraise(), [], what);
  }
  if (process.geteuid?.() !== 0) return;
  label(true);
  chownSync(tree.at('etc'), 0, 12);
  assert.match(tree.appraise({ coversMetadata: true }).join(), /^etc: metadata-changed .*owner 0:0.* → .*owner 0:12/);
});

test('a label without metadata, or none, does not do where the tree’s cover them', () => {
  using tree = new Tree();
  tree.label({ version: 7n });
  const old = ['etc', 'empty'].map(
    (name) => [name, getXattr(tree.at(name), 'user.assay.dir') ?? Buffer.alloc(0)] as const,
  );
  tree.label({ version: 7n, metadata: true });
  for (const [name, value] of old) setXattr(tree.at(name), 'user.assay.dir', value);
  const words = 'other-form (portable, sha256, with metadata → portable, sha256)';
  assert.deepEqual(tree.appraise({ coversMetadata: true }), [`empty: ${words}`, `etc: ${words}`]);
  tree.label({ version: 7n, metadata: true });
  removeXattr(tree.at('empty'), 'user.assay.dir');
  chmodSync(tree.at('empty'), 0o777);
  assert.deepEqual(tree.appraise({ coversMetadata: true }), ['empty: missing-directory-label (a label → none)']);
});

/** EXT4_SUPER_MAGIC of linux/magic.h. */
const EXT4 = 0xef53;
const DEPTH = 1500;
/** Beyond what Node's stack holds of calls, RLIMIT_NOFILE of descriptors; with two bytes a level a path of 3000. */
const deep = (levels: number): string => Array.from({ length: levels }, () => 'd').join('/');

test('a tree of any depth is labelled and judged, with few descriptors', () => {
  using tree = new Tree();
  mkdirSync(tree.at(deep(DEPTH)), { recursive: true });
  for (const levels of [1, 70, DEPTH]) tree.write(`${deep(levels)}/file`, `${levels}`);
  tree.label();
  let most = 0;
  const onDirectory = (): void => {
    most = Math.max(most, readdirSync('/proc/self/fd').length);
  };
  assert.deepEqual(tree.appraise({ onDirectory }), []);
  assert.ok(most < 200, `${most} descriptors`);
  renameSync(tree.at(`${deep(DEPTH)}/file`), tree.at(`${deep(DEPTH)}/other`));
  assert.deepEqual(tree.appraise(), [`${deep(DEPTH)}/other: entry-renamed (file → other)`]);
});

test('a folder whose path is too long is named, and what does not depend on it is done', () => {
  using tree = new Tree();
  const long = 'd'.repeat(255);
  const levels = 16; // 4095 bytes, and one more level is too long
  const script = `i=0; while [ $i -le ${levels} ]; do mkdir ${long} && cd -P ${long} || exit 1; i=$((i+1)); done`;
  assert.equal(spawnSync('sh', ['-c', script], { cwd: tree.path }).status, 0);
  const problems: string[] = [];
  const labelled = labelDirectories(tree.path, {
    digests: new FileDigests('sha256'),
    namespace: 'user',
    now: 1000,
    onProblem: ({ path, code }) => problems.push(`${path.length} ${code}`),
  });
  assert.deepEqual(problems, ['4351 path-too-long']);
  assert.deepEqual([labelled.directories, labelled.root], [5, undefined]);
});

test('a folder whose label the file system has no room for is named', () => {
  using tree = new Tree();
  // ext4 has 4096 bytes for all attributes of an inode, and the label says the path; others may have room.
  const long = `${Array.from({ length: 15 }, () => 'd'.repeat(255)).join('/')}/${'d'.repeat(120)}`;
  const script = `for name in ${long.replaceAll('/', ' ')}; do mkdir $name && cd -P $name || exit 1; done`;
  assert.equal(spawnSync('sh', ['-c', script], { cwd: tree.path }).status, 0);
  const problems: string[] = [];
  tree.label({ onProblem: ({ path, code }) => problems.push(`${path.length} ${code}`) });
  const crowded = ['3960 no-xattr-room', '3839 no-xattr-room'];
  assert.deepEqual(problems, statfsSync(tree.path).type === EXT4 ? crowded : []);
});

test('a folder that was exchanged while the walk was far beneath it is left, and none is read in its place', () => {
  using tree = new Tree();
  mkdirSync(tree.at(deep(100)), { recursive: true });
  tree.write('d/d/file', 'one');
  const root = openSync(tree.path, 'r');
  const seen: string[] = [];
  const problems: string[] = [];
  readTree(root, {
    form: 'portable',
    digests: new FileDigests('sha256'),
    attribute: 'user.assay.dir',
    onDirectory: ({ path }) => {
      if (path.length === deep(100).length) {
        renameSync(tree.at('d/d'), tree.at('d/was'));
        mkdirSync(tree.at('d/d'));
      }
      if (Buffer.from(path).toString().startsWith('d')) seen.push(Buffer.from(path).toString());
    },
    onProblem: ({ path, code }) => problems.push(`${Buffer.from(path)}: ${code}`),
  });
  closeSync(root);
  assert.deepEqual(seen.at(-1), deep(37), 'those that were open');
  assert.ok(problems.length > 0 && problems.every((one) => one.endsWith('vanished')), problems.join('\n'));
});
