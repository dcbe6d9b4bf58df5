/** FILE_CHECK under the guard: opens to read and to write, new files, and labels that follow what is written. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { digest } from '../../src/bytes/index.ts';
import { encodeImaDigest, IMA_XATTR } from '../../src/ima/index.ts';
import { getXattr, removeXattr, setXattr } from '../../src/sys/index.ts';
import { guarded, label } from '../fixtures/guarded.ts';
import { requiresMounts } from './requirements.ts';

const options = { ...requiresMounts(), timeout: 100_000 };
const EVERYTHING = ['appraise fowner=0'];

/** In a process of its own: this one's threads are the guard's, and are never asked. */
function sh(script: string, ...args: readonly string[]): { status: number | null; stdout: string } {
  const { status, stdout } = spawnSync('/bin/sh', ['-c', script, 'sh', ...args], { encoding: 'utf8', timeout: 30_000 });
  return { status, stdout };
}

const labelOf = (path: string): string | undefined => getXattr(path, IMA_XATTR)?.toString('hex');
const expected = (content: string): string =>
  encodeImaDigest('sha256', digest('sha256', Buffer.from(content))).toString('hex');

test('a file is read where its label holds, and not where it does not', options, async (t) => {
  const { tree, findings } = await guarded(t, {
    policy: EVERYTHING,
    prepare: (mount) => {
      for (const name of ['good', 'bad', 'bare']) writeFileSync(join(mount.tree, name), 'content');
      label(join(mount.tree, 'good'));
      label(join(mount.tree, 'bad'), Buffer.from('other'));
    },
  });
  assert.equal(sh('cat "$1"', join(tree, 'good')).stdout, 'content');
  assert.equal(sh('cat "$1"', join(tree, 'good')).stdout, 'content');
  assert.notEqual(sh('cat "$1"', join(tree, 'bad')).status, 0);
  assert.notEqual(sh('cat "$1"', join(tree, 'bare')).status, 0);
  await delay(50);
  assert.deepEqual(
    findings.map(({ fault, access }) => [access, fault.cause]),
    [
      ['open', 'invalid-hash'],
      ['open', 'missing-hash'],
    ],
  );
});

test(
  'a new file may be written, gets its label when it is closed, and is read and executed at once',
  options,
  async (t) => {
    const { tree, findings } = await guarded(t, { policy: EVERYTHING });
    const file = join(tree, 'new');
    const { status, stdout } = sh(
      'printf content >"$1" && cat "$1" && cp /bin/true "$2" && "$2" && printf more >>"$1" && cat "$1"',
      file,
      join(tree, 'program'),
    );
    assert.deepEqual({ status, stdout }, { status: 0, stdout: 'contentcontentmore' });
    await delay(100);
    assert.equal(labelOf(file), expected('contentmore'));
    assert.deepEqual(findings, []);
  },
);

test('who reads a file that is being written does not wait for its label', options, async (t) => {
  const { tree } = await guarded(t, { policy: EVERYTHING });
  const log = join(tree, 'log');
  const script = 'exec 3>>"$1"; echo one >&3; cat "$1"; echo two >&3; cat "$1"; exec 3>&-; cat "$1"';
  assert.deepEqual(sh(script, log), { status: 0, stdout: 'one\none\ntwo\none\ntwo\n' });
  await delay(100);
  assert.equal(labelOf(log), expected('one\ntwo\n'));
});

test('what was wrong before stays wrong: it is neither read nor written, nor labelled', options, async (t) => {
  const { tree } = await guarded(t, {
    policy: EVERYTHING,
    prepare: (mount) => {
      writeFileSync(join(mount.tree, 'bad'), 'content');
      label(join(mount.tree, 'bad'), Buffer.from('other'));
    },
  });
  const bad = join(tree, 'bad');
  assert.notEqual(sh('echo more >>"$1"', bad).status, 0);
  await delay(50);
  assert.equal(labelOf(bad), expected('other'));
  // An empty file whose label was taken is not new to who reads it.
  const emptied = join(tree, 'emptied');
  assert.equal(sh(': >"$1" && cat "$1"', emptied).status, 0);
  await delay(100);
  removeXattr(emptied, IMA_XATTR);
  assert.notEqual(sh('cat "$1"', emptied).status, 0);
});

test('a file that replaces another by renaming is judged by its own label', options, async (t) => {
  const { tree, program } = await guarded(t, { policy: EVERYTHING });
  const target = program('target');
  assert.equal(sh('"$1"', target).status, 0);
  const other = join(tree, 'other');
  assert.equal(sh('cp /bin/false "$1" && mv "$1" "$2" && "$2"', other, target).status, 1);
});

test(
  'under a rule `hash` the label follows what is written, nobody is refused, and a signature stays',
  options,
  async (t) => {
    const signature = Buffer.from('0302040011223300020102', 'hex');
    const { tree, findings } = await guarded(t, {
      policy: ['hash func=FILE_CHECK mask=^MAY_APPEND'],
      prepare: (mount) => {
        for (const name of ['bare', 'signed', 'read']) writeFileSync(join(mount.tree, name), 'content');
        setXattr(join(mount.tree, 'signed'), IMA_XATTR, signature);
      },
    });
    const [bare, signed, read] = ['bare', 'signed', 'read'].map((name) => join(tree, name)) as [string, string, string];
    assert.equal(sh('printf more >>"$1" && printf more >>"$2" && cat "$3"', bare, signed, read).stdout, 'content');
    await delay(300);
    assert.equal(labelOf(bare), expected('contentmore'));
    assert.equal(labelOf(signed), signature.toString('hex'));
    assert.equal(labelOf(read), undefined);
    assert.deepEqual(findings, []);
  },
);
