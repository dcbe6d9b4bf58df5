import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FileProblem } from '../problem.ts';
import { treePath } from './tree-path.ts';

const of = (text: string): [string, string, string] => {
  const { bytes, folder, name } = treePath(Buffer.from(text, 'latin1'));
  return [bytes.toString('latin1'), folder.toString('latin1'), name.toString('latin1')];
};

test('paths as archives write them', () => {
  assert.deepEqual(of('a/b/c'), ['a/b/c', 'a/b', 'c']);
  assert.deepEqual(of('./a/b/'), ['a/b', 'a', 'b']);
  assert.deepEqual(of('././a'), ['a', '', 'a']);
  assert.deepEqual(of('..a/...'), ['..a/...', '..a', '...']);
  assert.deepEqual(of('\xff\xfe'), ['\xff\xfe', '', '\xff\xfe']);
  for (const root of ['', '.', './', './.']) assert.deepEqual(of(root), ['', '', '']);
});

test('what leads elsewhere, or could, is refused', () => {
  const refused = ['/', '/etc/passwd', '..', '../a', 'a/..', 'a/../b', './../a', 'a//b', './/a', 'a/./b', 'a\0b'];
  for (const path of [...refused, 'n'.repeat(256), `${'d/'.repeat(2048)}f`]) {
    assert.throws(
      () => of(path),
      (error) => error instanceof FileProblem && error.problem === 'unsafe-path',
      JSON.stringify(path.slice(0, 20)),
    );
  }
});
