import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

const ASSAY = join(import.meta.dirname, '../../bin/assay');

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'assay-tree-options-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** What is said of a command that is refused as it was given. */
function refusal(...args: readonly string[]): string {
  const { status, stderr } = spawnSync(ASSAY, args, { encoding: 'utf8', timeout: 30_000 });
  assert.equal(status, 2, stderr);
  return stderr;
}

test('threads are refused by the words that were given, with the range', (t) => {
  const tree = folderOf(t);
  for (const verb of ['label', 'appraise']) {
    for (const jobs of ['-1', '0', '99999999', '257', 'many', '1.5']) {
      assert.match(refusal(verb, tree, `--jobs=${jobs}`), new RegExp(`'${jobs}'.*threads.*1 to 256`));
    }
  }
});

test('directories cannot be wanted and left alone at once, in whichever order', (t) => {
  const tree = folderOf(t);
  const both = ['--directories', '--no-directories'];
  for (const flags of [both, both.toReversed()]) {
    assert.match(refusal('appraise', tree, ...flags), /--directories and --no-directories/);
  }
});

test('a journal that is no regular file is refused at once', (t) => {
  const [tree, folder] = [folderOf(t), folderOf(t)];
  const fifo = join(folder, 'fifo');
  assert.equal(spawnSync('mkfifo', ['-m', '600', fifo]).status, 0);
  assert.match(refusal('label', tree, '--xattr-user', '--journal', fifo), /fifo is no regular file/);
});

test('the labels of what is not there: said as everywhere', (t) => {
  const missing = join(folderOf(t), 'missing');
  assert.match(refusal('label', 'show', missing), /missing: no such file or folder; look whether the name is right/);
});
