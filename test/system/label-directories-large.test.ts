/** The attacks that leave every single file valid, on a tree of 50,000 files, against `assay appraise`. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { appraiseDirectories, FileDigests, labelDirectories } from '../../src/appraise/index.ts';
import { Keyring, readPublicKeys } from '../../src/digsig/index.ts';
import { getXattr, setXattr } from '../../src/sys/index.ts';

const ASSAY = join(import.meta.dirname, '../../bin/assay');
const FILES = 50_000;
const FILES_A_FOLDER = 100;
const LABEL = 'user.assay.dir';

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const PEM = Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' }));
const SPKI = publicKey.export({ type: 'spki', format: 'pem' });

describe(`directory labels of ${FILES} files`, () => {
  let folder = '';
  let tree = '';
  const at = (name: string): string => join(tree, name);
  const folderOf = (index: number): string => `part-${index % 10}/folder-${index}`;

  function appraise(...more: readonly string[]): { status: number | null; lines: string[] } {
    const options = ['--xattr-user', '--key', join(folder, 'key.pub'), '--directories', '--json', ...more];
    const { status, stdout, stderr } = spawnSync(ASSAY, ['appraise', tree, ...options], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    assert.equal(stderr, '');
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ cause }) => cause !== undefined)
      .map(({ path, cause }) => `${path}: ${cause}`);
    return { status, lines: lines.sort() };
  }

  const keep = (names: readonly string[]): [string, Buffer][] =>
    names.map((name) => [name, Buffer.from(getXattr(at(name), LABEL) ?? assert.fail(`${name} has no label`))]);

  function putBack(kept: readonly [string, Buffer][]): void {
    for (const [name, value] of kept) setXattr(at(name), LABEL, value);
  }

  /** Directories alone, and findings by cause: the files' labels were judged before. */
  function found(leastVersion?: bigint): string[] {
    const lines: string[] = [];
    appraiseDirectories(tree, {
      digests: new FileDigests('sha256'),
      form: 'portable',
      keyring: new Keyring(readPublicKeys(Buffer.from(SPKI), { source: 'test' })),
      namespace: 'user',
      ...(leastVersion === undefined ? {} : { leastVersion }),
      onBad: ({ path, cause }) => lines.push(`${Buffer.from(path)}: ${cause}`),
      onProblem: (problem) => assert.fail(problem.code),
    });
    return lines.sort();
  }

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'assay-label-50k-'));
    tree = join(folder, 'tree');
    writeFileSync(join(folder, 'key.pem'), PEM, { mode: 0o600 });
    writeFileSync(join(folder, 'key.pub'), SPKI);
    for (let i = 0; i < FILES / FILES_A_FOLDER; i++) {
      mkdirSync(at(folderOf(i)), { recursive: true });
      for (let n = 0; n < FILES_A_FOLDER; n++) writeFileSync(at(`${folderOf(i)}/file-${n}`), `${i} ${n}`);
    }
    const options = ['--xattr-user', '--directories', '--root-path', '/', '--tree-version', '1000'];
    const { status, stderr } = spawnSync(ASSAY, ['label', tree, '--sign', join(folder, 'key.pem'), ...options], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
  });
  after(() => rmSync(folder, { recursive: true }));

  test('an older signed subtree put back is named; an older tree where its keeper holds the version', () => {
    const folders = Array.from({ length: FILES / FILES_A_FOLDER }, (_, i) => folderOf(i));
    const parts = Array.from({ length: 10 }, (_, i) => `part-${i}`);
    const old = keep(['', ...parts, ...folders]);
    const repaired = `${folderOf(7)}/file-7`;
    writeFileSync(at(repaired), 'a security repair');
    const signer = { key: PEM, source: 'test' };
    const digests = new FileDigests('sha256');
    const onProblem = (): void => assert.fail();
    labelDirectories(tree, { digests, signer, namespace: 'user', now: 2000, rootPath: '/', onProblem });
    assert.deepEqual(found(2000n), []);

    writeFileSync(at(repaired), '7 7');
    putBack(old.filter(([name]) => name === folderOf(7)));
    assert.ok(found(2000n).includes(`${folderOf(7)}: older-version`));

    putBack(old);
    assert.deepEqual(found(), []);
    assert.deepEqual(found(2000n), [': older-tree']);
  });

  test('each of the five attacks is named, and nothing else; also where unsigned labels are written anew', () => {
    renameSync(at(`${folderOf(1)}/file-1`), at(`${folderOf(1)}/renamed`));
    renameSync(at(`${folderOf(2)}/file-1`), at('aside'));
    renameSync(at(`${folderOf(2)}/file-2`), at(`${folderOf(2)}/file-1`));
    renameSync(at('aside'), at(`${folderOf(2)}/file-2`));
    unlinkSync(at(`${folderOf(3)}/file-1`));
    writeFileSync(at(`${folderOf(4)}/new`), 'new');
    unlinkSync(at(`${folderOf(5)}/file-1`));
    symlinkSync('file-2', at(`${folderOf(5)}/file-1`));
    const named = [
      'part-1/folder-1/renamed: entry-renamed',
      'part-2/folder-2/file-1: entries-swapped',
      'part-3/folder-3/file-1: entry-deleted',
      'part-4/folder-4/new: entry-added',
      'part-5/folder-5/file-1: entry-type-changed',
    ];

    // Who has no key writes digests that hold for every file: the directories' signatures still tell.
    assert.equal(spawnSync(ASSAY, ['label', tree, '--xattr-user']).status, 0);
    assert.deepEqual(appraise(), { status: 1, lines: named });

    // And where the directories' labels are unsigned too, each is nobody's.
    const digests = new FileDigests('sha256');
    labelDirectories(tree, { digests, namespace: 'user', now: 3000, rootPath: '/', onProblem: () => assert.fail() });
    const rewritten = found();
    assert.equal(rewritten.length, 1 + 10 + FILES / FILES_A_FOLDER);
    assert.ok(rewritten.every((line) => line.endsWith(': unprotected')));
  });
});
