import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { linkSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { digest } from '../bytes/index.ts';
import { getXattr, setXattr } from '../sys/index.ts';
import { type AppraiseOptions, appraiseTree, type LabelOptions, labelTree } from './label.ts';
import type { BadFile } from './task.ts';

interface Tree {
  readonly path: string;
  readonly label: (options?: LabelOptions) => Promise<unknown>;
  /** `name: cause`, sorted. */
  readonly appraise: (options?: AppraiseOptions) => Promise<string[]>;
}

async function withTree(names: readonly string[], use: (tree: Tree) => Promise<void>): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), 'assay-appraise-'));
  for (const name of names) writeFileSync(join(path, name), name);
  const common = { namespace: 'user', jobs: 2 } as const;
  try {
    await use({
      path,
      label: (options = {}) => labelTree(path, { ...common, ...options }),
      appraise: async (options = {}) => {
        const bad: BadFile[] = [];
        await appraiseTree(path, { ...common, ...options, onBad: (file) => bad.push(file) });
        return bad.map((file) => `${Buffer.from(file.path)}: ${file.cause}`).toSorted();
      },
    });
  } finally {
    rmSync(path, { recursive: true });
  }
}

const p256 = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const signer = ({ privateKey }: typeof rsa) => ({
  key: Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  source: 'test key',
});
const keys = (...pairs: readonly (typeof rsa)[]) =>
  pairs.map(({ publicKey }) => ({ bytes: publicKey.export({ type: 'spki', format: 'der' }), source: 'test key' }));

const attributeOf = (tree: Tree, name: string): Buffer =>
  getXattr(join(tree.path, name), 'user.ima') ?? Buffer.alloc(0);
const setAttribute = (tree: Tree, name: string, value: Buffer): void =>
  setXattr(join(tree.path, name), 'user.ima', value);

test('what label wrote holds, in every form', async () => {
  await withTree(['a', 'b'], async (tree) => {
    for (const algorithm of ['md5', 'sha1', 'sha256', 'sha512'] as const) {
      await tree.label({ algorithm });
      assert.deepEqual(await tree.appraise(), []);
    }
    for (const pair of [p256, rsa]) {
      await tree.label({ signer: signer(pair), algorithm: 'sha512' });
      assert.deepEqual(await tree.appraise({ keys: keys(p256, rsa), type: 'imasig' }), []);
    }
  });
});

test('of many signatures by one key, which are verified together, each bad one is named', async () => {
  const names = Array.from({ length: 1200 }, (_, i) => `file-${i}`);
  await withTree(names, async (tree) => {
    await tree.label({ signer: signer(p256) });
    const bad = ['file-0', 'file-700', 'file-1199'];
    for (const name of bad) writeFileSync(join(tree.path, name), 'another');
    setAttribute(tree, 'file-900', attributeOf(tree, 'file-901'));
    setAttribute(tree, 'file-1000', attributeOf(tree, 'file-1000').fill(0xff, 3, 7));
    const found = [...bad, 'file-900', 'file-1000'].map((name) => `${name}: invalid-signature`);
    for (const jobs of [1, 2]) {
      assert.deepEqual(await tree.appraise({ keys: keys(p256, rsa), type: 'imasig', jobs }), found.toSorted());
    }
    const details: string[] = [];
    const onFile: AppraiseOptions['onFile'] = ({ path, change, digest: hash }) => {
      details.push(`${Buffer.from(path)} ${change} ${Buffer.from(hash ?? []).toString('hex')}`);
    };
    await tree.appraise({ keys: keys(p256), digestsIn: 'sha256', onFile, jobs: 1 });
    assert.equal(new Set(details).size, 1200);
    const hex = (content: string) => digest('sha256', Buffer.from(content)).toString('hex');
    for (const line of [
      `file-0 bad ${hex('another')}`,
      `file-900 bad ${hex('file-900')}`,
      `file-5 good ${hex('file-5')}`,
    ]) {
      assert.ok(details.includes(line), line);
    }
  });
});

test('each way in which a label fails has the kernel’s word', async () => {
  const names = ['changed', 'cut', 'digest', 'none', 'other-key', 'signed-changed', 'strange', 'version'];
  await withTree(names, async (tree) => {
    await tree.label({ signer: signer(rsa) });
    setAttribute(tree, 'other-key', attributeOf(tree, 'other-key').fill(0xff, 3, 7));
    setAttribute(tree, 'cut', attributeOf(tree, 'cut').subarray(0, 40));
    setAttribute(tree, 'version', Buffer.of(3, 9, 4));
    setAttribute(tree, 'strange', Buffer.of(9));
    const sha256 = (text: string) => Buffer.concat([Buffer.of(4, 4), digest('sha256', Buffer.from(text))]);
    setAttribute(tree, 'changed', sha256('another'));
    setAttribute(tree, 'digest', sha256('digest'));
    writeFileSync(join(tree.path, 'signed-changed'), 'another');
    setAttribute(tree, 'none', Buffer.alloc(0));
    const common = [
      'cut: invalid-signature',
      'other-key: invalid-signature',
      'signed-changed: invalid-signature',
      'strange: unknown-ima-data',
      'version: invalid-signature-version',
    ];
    assert.deepEqual(
      await tree.appraise({ keys: keys(rsa) }),
      ['changed: invalid-hash', 'none: missing-hash', ...common].toSorted(),
    );
    const unsigned = ['changed', 'digest', 'none'].map((name) => `${name}: IMA-signature-required`);
    assert.deepEqual(await tree.appraise({ keys: keys(rsa), type: 'imasig' }), [...unsigned, ...common].toSorted());
  });
});

test('an MD5 digest padded to the size of SHA-1 is one, as for the kernel', async () => {
  await withTree(['file'], async (tree) => {
    setAttribute(tree, 'file', Buffer.concat([Buffer.of(1), digest('md5', Buffer.from('file')), Buffer.alloc(4)]));
    assert.deepEqual(await tree.appraise(), []);
  });
});

test('a blacklisted key verifies no more, and the reason is told beside the kernel’s word', async () => {
  await withTree(['file'], async (tree) => {
    await tree.label({ signer: signer(rsa) });
    const bad: BadFile[] = [];
    const options = { keys: keys(rsa, p256), type: 'imasig', onBad: (file: BadFile) => bad.push(file) } as const;
    const judge = (blacklist: AppraiseOptions['blacklist'] = []) =>
      appraiseTree(tree.path, { namespace: 'user', ...options, blacklist });
    await judge(keys(p256));
    assert.equal(bad.length, 0);
    await judge(keys(rsa));
    assert.deepEqual(
      bad.map(({ cause, found, fault }) => [cause, found, fault]),
      [['invalid-signature', 'a key that is blacklisted', 'blacklisted-key']],
    );
  });
});

test('a blacklisted hash is told for what it is, and refused where no rule would ask for it', async () => {
  await withTree(['a', 'b'], async (tree) => {
    await tree.label({ signer: signer(p256) });
    const hash = digest('sha256', Buffer.from('b')).toString('hex');
    const blacklist = [{ bytes: Buffer.from(`bin:${hash}\n`), source: 'revoked' }];
    assert.deepEqual(await tree.appraise({ keys: keys(p256), type: 'imasig', blacklist }), ['b: blacklisted-hash']);
    await assert.rejects(tree.appraise({ keys: keys(p256), blacklist }), /no signature is required/);
  });
});

test('a label without an algorithm is judged by the kernel’s default', async () => {
  await withTree(['file'], async (tree) => {
    setAttribute(tree, 'file', Buffer.concat([Buffer.of(1), digest('sha256', Buffer.from('file'))]));
    assert.deepEqual(await tree.appraise(), []);
    assert.deepEqual(await tree.appraise({ imaHash: 'sha512' }), ['file: invalid-hash']);
  });
});

// Those that can: test/system/appraise-signatures.test.ts.
test('what is appended and cannot be parsed is content like any other', async () => {
  await withTree(['file', 'torn'], async (tree) => {
    const marker = '~Module signature appended~\n';
    writeFileSync(join(tree.path, 'torn'), `content${'\0'.repeat(12)}${marker}`);
    writeFileSync(join(tree.path, 'file'), marker);
    assert.deepEqual(await tree.appraise({ type: 'imasig|modsig' }), [
      'file: IMA-signature-required',
      'torn: IMA-signature-required',
    ]);
    await tree.label({ signer: signer(p256) });
    assert.deepEqual(await tree.appraise({ type: 'imasig|modsig', keys: keys(p256) }), []);
  });
});

test('threads judge a tree of many batches, each inode once', async () => {
  const names = Array.from({ length: 600 }, (_, i) => `file-${i}`);
  await withTree(names, async (tree) => {
    linkSync(join(tree.path, 'file-0'), join(tree.path, 'link'));
    await tree.label({ signer: signer(p256) });
    writeFileSync(join(tree.path, 'file-0'), 'another');
    const [first, ...more] = await tree.appraise({ keys: keys(p256) });
    assert.match(first ?? '', /^(file-0|link): invalid-signature$/);
    assert.deepEqual(more, []);
  });
});

test('a journal of labels by one key does not stand for another’s', async () => {
  await withTree(['file'], async (tree) => {
    const old = new Date(Date.now() - 60_000);
    utimesSync(join(tree.path, 'file'), old, old);
    const journal = join(tree.path, 'journal');
    await tree.label({ signer: signer(p256), journal });
    await tree.label({ signer: signer(rsa), journal });
    assert.deepEqual(await tree.appraise({ keys: keys(rsa), exclude: ['journal'] }), []);
  });
});
