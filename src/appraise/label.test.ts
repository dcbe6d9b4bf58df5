import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { digest } from '../bytes/index.ts';
import { openSigner, signFileId } from '../digsig/index.ts';
import { getXattr, setXattr } from '../sys/index.ts';
import { AppraiseError } from './error.ts';
import { clearTree, type LabelOptions, labelTree } from './label.ts';
import type { Problem } from './problem.ts';
import { VerityHash } from './verity-digest.ts';

async function withTree(use: (tree: string) => Promise<void>): Promise<void> {
  const tree = mkdtempSync(join(tmpdir(), 'assay-label-'));
  try {
    await use(tree);
  } finally {
    rmSync(tree, { recursive: true });
  }
}

const label = (tree: string, options: LabelOptions = {}) => labelTree(tree, { namespace: 'user', jobs: 2, ...options });
const labelOf = (...path: readonly string[]): Buffer | undefined => getXattr(join(...path), 'user.ima');
const sha256Label = (content: string): Buffer =>
  Buffer.concat([Buffer.of(4, 4), digest('sha256', Buffer.from(content))]);

test('every regular file gets its digest, by the kernel’s algorithm id', async () => {
  await withTree(async (tree) => {
    mkdirSync(join(tree, 'a/b'), { recursive: true });
    writeFileSync(join(tree, 'a/b/file'), 'content');
    writeFileSync(join(tree, 'empty'), '');
    const large = 'x'.repeat(700_000);
    writeFileSync(join(tree, 'large'), large);
    const summary = await label(tree);
    assert.equal(summary.changes.added, 3);
    assert.deepEqual(labelOf(tree, 'a/b/file'), sha256Label('content'));
    assert.deepEqual(labelOf(tree, 'empty'), sha256Label(''));
    assert.deepEqual(labelOf(tree, 'large'), sha256Label(large));
  });
});

test('SHA-1 labels have the kernel’s legacy form', async () => {
  await withTree(async (tree) => {
    writeFileSync(join(tree, 'file'), 'content');
    await label(tree, { algorithm: 'sha1' });
    assert.deepEqual(labelOf(tree, 'file'), Buffer.concat([Buffer.of(1), digest('sha1', Buffer.from('content'))]));
  });
});

test('threads label a tree of many batches, each inode once', async () => {
  await withTree(async (tree) => {
    for (let i = 0; i < 700; i++) {
      writeFileSync(join(tree, `file-${i}`), `content ${i}`);
      if (i % 2 === 0) linkSync(join(tree, `file-${i}`), join(tree, `link-${i}`));
    }
    const summary = await label(tree);
    assert.equal(summary.files, 1050);
    assert.equal(summary.done, 700);
    assert.equal(summary.furtherLinks, 350);
    assert.equal(summary.finished, true);
    assert.deepEqual(labelOf(tree, 'link-698'), sha256Label('content 698'));
    assert.deepEqual(labelOf(tree, 'file-699'), sha256Label('content 699'));
  });
});

test('large files among many go to other threads than the first, and each is done', async () => {
  await withTree(async (tree) => {
    for (let i = 0; i < 600; i++) writeFileSync(join(tree, `file-${i}`), `content ${i}`);
    const large = Buffer.alloc((1 << 20) + 1, 7);
    for (const name of ['file-3', 'file-300', 'file-599']) writeFileSync(join(tree, name), large);
    linkSync(join(tree, 'file-3'), join(tree, 'link'));
    for (const jobs of [1, 2, 3]) {
      await clearTree(tree, { jobs, attributes: ['user.ima'] });
      const { done, furtherLinks, bytes, finished, changes } = await label(tree, { jobs });
      assert.deepEqual([done, furtherLinks, changes.added, finished], [600, 1, 600, true]);
      assert.ok(bytes > 3 * large.length);
      for (const name of ['link', 'file-300', 'file-599']) {
        assert.deepEqual(labelOf(tree, name), Buffer.concat([Buffer.of(4, 4), digest('sha256', large)]));
      }
    }
  });
});

test('links, FIFOs and loops of links are passed by', async () => {
  await withTree(async (tree) => {
    writeFileSync(join(tree, 'file'), 'content');
    symlinkSync('.', join(tree, 'loop'));
    symlinkSync('b', join(tree, 'a'));
    symlinkSync('a', join(tree, 'b'));
    symlinkSync('/etc/passwd', join(tree, 'outside'));
    assert.equal(spawnSync('mkfifo', [join(tree, 'fifo')]).status, 0);
    const summary = await label(tree);
    assert.deepEqual([summary.files, summary.symlinks, summary.special, summary.problems], [1, 4, 1, 0]);
    assert.equal(labelOf('/etc/passwd'), undefined);
  });
});

test('a name that is no text is labelled', async () => {
  await withTree(async (tree) => {
    const name = Buffer.concat([Buffer.from(`${tree}/`), Buffer.of(0xff, 0x0a, 0xfe)]);
    writeFileSync(name, 'content');
    assert.equal((await label(tree)).problems, 0);
    assert.deepEqual(getXattr(name, 'user.ima'), sha256Label('content'));
  });
});

test('a dry run says what would be and changes nothing', async () => {
  await withTree(async (tree) => {
    writeFileSync(join(tree, 'file'), 'content');
    assert.equal((await label(tree, { dryRun: true })).changes.added, 1);
    assert.equal(labelOf(tree, 'file'), undefined);
  });
});

test('with a journal what did not change is not read again, and what did is', async () => {
  await withTree(async (tree) => {
    const journal = join(tree, 'journal');
    const old = new Date(Date.now() - 60_000);
    for (const name of ['kept', 'written', 'relabelled']) {
      writeFileSync(join(tree, name), name);
      utimesSync(join(tree, name), old, old);
    }
    assert.equal((await label(tree, { journal })).changes.added, 3);
    writeFileSync(join(tree, 'written'), 'anew');
    setXattr(join(tree, 'relabelled'), 'user.ima', Buffer.of(4, 4));
    const { changes, files } = await label(tree, { journal });
    assert.equal(files, 3, 'the journal itself is left out');
    assert.deepEqual([changes.unchanged, changes.replaced], [1, 2]);
    assert.deepEqual(labelOf(tree, 'written'), sha256Label('anew'));
    assert.deepEqual(labelOf(tree, 'relabelled'), sha256Label('relabelled'));
    assert.equal((await label(tree, { journal, algorithm: 'sha512' })).changes.unchanged, 0, 'another label');
  });
});

test('globs choose files and leave out folders', async () => {
  await withTree(async (tree) => {
    mkdirSync(join(tree, 'log'));
    for (const name of ['log/a.so', 'b.so', 'c.txt']) writeFileSync(join(tree, name), name);
    const summary = await label(tree, { include: ['**/*.so'], exclude: ['log'] });
    assert.equal(summary.changes.added, 1);
    assert.equal(labelOf(tree, 'log/a.so'), undefined);
    assert.deepEqual(labelOf(tree, 'b.so'), sha256Label('b.so'));
  });
});

test('one file is a tree too; a folder that is not there is an error of the run', async () => {
  await withTree(async (tree) => {
    writeFileSync(join(tree, 'file'), 'content');
    assert.equal((await label(join(tree, 'file'))).changes.added, 1);
    await assert.rejects(
      label(join(tree, 'none')),
      (error) => error instanceof AppraiseError && error.code === 'appraise.root',
    );
  });
});

// One of 64 KiB, which few file systems hold: test/system/label-bad-input.test.ts.
test('an attribute of 3000 bytes is read and replaced as any other', async () => {
  await withTree(async (tree) => {
    writeFileSync(join(tree, 'file'), 'content');
    setXattr(join(tree, 'file'), 'user.ima', Buffer.alloc(3000));
    assert.equal((await label(tree)).changes.replaced, 1);
    assert.deepEqual(labelOf(tree, 'file'), sha256Label('content'));
  });
});

test('a stopped run says that it is not finished', async () => {
  await withTree(async (tree) => {
    for (let i = 0; i < 600; i++) writeFileSync(join(tree, `file-${i}`), '');
    const stop = new AbortController();
    const summary = await label(tree, { jobs: 1, signal: stop.signal, onProgress: () => stop.abort() });
    assert.equal(summary.finished, false);
    assert.ok(summary.done < 600);
  });
});

test('files that vanish while the tree is labelled are named, and the rest is done', async () => {
  await withTree(async (tree) => {
    mkdirSync(join(tree, 'folder'));
    for (let i = 0; i < 900; i++) writeFileSync(join(tree, 'folder', `file-${i}`), '');
    const left = new Set(readdirSync(join(tree, 'folder')));
    const problems: Problem[] = [];
    let gone: string[] = [];
    const summary = await label(tree, {
      jobs: 1,
      onFile: ({ path }) => left.delete(Buffer.from(path).toString().slice('folder/'.length)),
      // Their names were read with the folder; whichever are left have not been opened.
      onProgress: () => {
        if (gone.length > 0) return;
        gone = [...left].slice(0, 3);
        for (const name of gone) rmSync(join(tree, 'folder', name));
      },
      onProblem: (problem) => problems.push(problem),
    });
    assert.deepEqual(
      problems.map(({ path, code, errno }) => `${Buffer.from(path)}: ${code} ${errno}`).toSorted(),
      gone.map((name) => `folder/${name}: vanished ENOENT`).toSorted(),
    );
    assert.deepEqual([summary.problems, summary.changes.added, summary.finished], [3, 897, true]);
  });
});

test('signatures of the digest that fs-verity will give, with and without a journal', async () => {
  await withTree(async (tree) => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const key = { key: Buffer.from(privateKey.export({ type: 'pkcs8', format: 'der' })), source: 'test' };
    const sizes = [0, 1, 4097, 700_000];
    const old = new Date(Date.now() - 60_000);
    for (const size of sizes) {
      writeFileSync(join(tree, `${size}`), Buffer.alloc(size, 'a'));
      utimesSync(join(tree, `${size}`), old, old);
    }
    for (const algorithm of ['sha256', 'sha512'] as const) {
      await label(tree, { signer: key, verity: true, algorithm });
      for (const size of sizes) {
        const verity = new VerityHash(algorithm);
        for (let at = 0; at < size; at += 4096) verity.add(Buffer.alloc(Math.min(4096, size - at), 'a'));
        const signature = signFileId(openSigner(key), 6, algorithm, verity.digest());
        assert.deepEqual(labelOf(tree, `${size}`), Buffer.concat([Buffer.of(6), signature]), `${size} ${algorithm}`);
      }
    }
    const journal = join(tree, 'journal');
    const digests: (Uint8Array | undefined)[] = [];
    const run = (verity: boolean) =>
      label(tree, { signer: key, verity, journal, onFile: ({ digest: known }) => digests.push(known) });
    assert.equal((await run(true)).changes.replaced, 4);
    assert.equal((await run(true)).changes.unchanged, 4);
    assert.deepEqual(new Set(digests), new Set([undefined]), 'nobody takes them for digests of contents');
    assert.equal((await run(false)).changes.replaced, 4);
    await assert.rejects(label(tree, { verity: true }), (error) => error instanceof AppraiseError);
    await assert.rejects(label(tree, { verity: true, signer: key, algorithm: 'sha384' }), /fs-verity has no sha384/);
  });
});

test('labels are taken away', async () => {
  await withTree(async (tree) => {
    writeFileSync(join(tree, 'file'), 'content');
    await label(tree);
    const problems: Problem[] = [];
    const summary = await clearTree(tree, { attributes: ['user.ima'], onProblem: (one) => problems.push(one) });
    assert.deepEqual([summary.changes.removed, problems.length], [1, 0]);
    assert.equal(labelOf(tree, 'file'), undefined);
  });
});
