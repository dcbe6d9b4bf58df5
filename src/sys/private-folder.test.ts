import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { SysError } from './error.ts';
import { createFile, privateFolder, replaceFile } from './private-folder.ts';

const root = mkdtempSync(join(tmpdir(), 'assay-private-'));
after(() => rmSync(root, { recursive: true, force: true }));

const modeOf = (path: string): number => statSync(path).mode & 0o7777;

function folder(name: string, mode: number): string {
  const path = join(root, name);
  mkdirSync(path);
  chmodSync(path, mode); // mkdir's own mode is cut by the umask
  return path;
}

const isRefusal = (error: unknown): boolean =>
  error instanceof SysError && error.code === 'sys.folder-not-private' && error.advice !== undefined;

test('a folder that is missing is made for this user alone, its parents too', async () => {
  const path = join(root, 'made', 'below');
  await privateFolder(path);
  assert.equal(modeOf(path), 0o700);
  assert.equal(modeOf(join(root, 'made')), 0o700);
});

test('many who make the same folders at once all have them', async () => {
  for (let round = 0; round < 10; round++) {
    const path = join(root, `round ${round}`, 'below', 'deeper');
    await Promise.all(Array.from({ length: 8 }, () => privateFolder(path)));
    assert.equal(modeOf(path), 0o700);
  }
});

test('a folder that others may read is tightened', async () => {
  const path = folder('readable', 0o755);
  writeFileSync(join(path, 'kept'), 'kept');
  await privateFolder(path);
  assert.equal(modeOf(path), 0o700);
  assert.equal(readFileSync(join(path, 'kept'), 'utf8'), 'kept');
});

test('a folder that others may read stays as it is where that is asked, and one that they may write is refused', async () => {
  const path = folder('home', 0o755);
  await privateFolder(path, { tighten: false });
  assert.equal(modeOf(path), 0o755);
  await assert.rejects(privateFolder(folder('writable-home', 0o775), { tighten: false }), isRefusal);
});

test('a folder that others may write is refused and left as it is: what is in it may be theirs', async () => {
  for (const mode of [0o770, 0o702, 0o1777]) {
    const path = folder(`writable-${mode}`, mode);
    await assert.rejects(privateFolder(path), isRefusal);
    assert.equal(modeOf(path), mode);
  }
});

test('a folder of another user is refused', {
  skip: process.getuid?.() !== 0 && 'only root can give a folder away',
}, async () => {
  const path = folder('foreign', 0o700);
  chownSync(path, 65534, 65534);
  await assert.rejects(privateFolder(path), isRefusal);
});

test('a symbolic link to a folder is judged by the folder', async () => {
  const path = folder('target', 0o777);
  symlinkSync(path, join(root, 'link'));
  await assert.rejects(privateFolder(join(root, 'link')), isRefusal);
});

test('a file in the folder’s place is a typed error that names it', async () => {
  writeFileSync(join(root, 'file'), '');
  await assert.rejects(
    privateFolder(join(root, 'file')),
    (error: unknown) =>
      error instanceof SysError && error.code === 'sys.call-failed' && error.message.includes(join(root, 'file')),
  );
});

test('a file is replaced whole, with the mode asked for, and nothing is left beside it', async () => {
  const path = join(folder('replace', 0o700), 'name');
  await replaceFile(path, 'one');
  assert.equal(modeOf(path), 0o600);
  await replaceFile(path, Buffer.from('two'), { mode: 0o644 });
  assert.equal(modeOf(path), 0o644);
  assert.equal(readFileSync(path, 'utf8'), 'two');
  assert.deepEqual(readdirSync(join(root, 'replace')), ['name']);
});

test('a link that waits under a guessed temporary name is not written through', async () => {
  const path = join(folder('trap', 0o700), 'name');
  const victim = join(root, 'victim');
  writeFileSync(victim, 'victim');
  for (const guess of [`${path}.new`, `${path}.${process.pid}`, `${path}.tmp`]) symlinkSync(victim, guess);
  await replaceFile(path, 'secret');
  assert.equal(readFileSync(victim, 'utf8'), 'victim');
  assert.equal(readFileSync(path, 'utf8'), 'secret');
});

test('a link in the file’s own place is replaced, not followed', async () => {
  const path = join(folder('linked', 0o700), 'name');
  const target = join(root, 'linked-target');
  writeFileSync(target, 'target');
  symlinkSync(target, path);
  await replaceFile(path, 'new');
  assert.equal(readFileSync(target, 'utf8'), 'target');
  assert.equal(readFileSync(path, 'utf8'), 'new');
});

test('writers at the same time each write a whole file', async () => {
  const path = join(folder('together', 0o700), 'name');
  const texts = Array.from({ length: 8 }, (_, index) => String(index).repeat(100_000));
  await Promise.all(texts.map((text) => replaceFile(path, text)));
  assert.ok(texts.includes(readFileSync(path, 'utf8')));
  assert.deepEqual(readdirSync(join(root, 'together')), ['name']);
});

test('what cannot be replaced is a typed error, and nothing is left beside it', async () => {
  const inside = folder('occupied', 0o700);
  mkdirSync(join(inside, 'name'));
  await assert.rejects(
    replaceFile(join(inside, 'name'), 'x'),
    (error: unknown) => error instanceof SysError && error.errno === 'EISDIR',
  );
  assert.deepEqual(readdirSync(inside), ['name']);
});

test('a file is made where its name is free, whole and with the mode asked for, and nothing is left beside it', async () => {
  const inside = folder('create', 0o700);
  const path = join(inside, 'name');
  const texts = Array.from({ length: 8 }, (_, index) => String(index).repeat(100_000));
  const made = await Promise.all(texts.map((text) => createFile(path, text, { mode: 0o640 })));
  assert.deepEqual(made.toSorted(), [...Array(7).fill(false), true]);
  assert.equal(readFileSync(path, 'utf8'), texts[made.indexOf(true)]);
  assert.equal(modeOf(path), 0o640);
  assert.deepEqual(readdirSync(inside), ['name']);
});

test('a link that leads nowhere takes the name too, and what cannot be made is a typed error', async () => {
  const inside = folder('dangling', 0o700);
  symlinkSync(join(root, 'nowhere'), join(inside, 'name'));
  assert.equal(await createFile(join(inside, 'name'), 'x'), false);
  assert.deepEqual(readdirSync(inside), ['name']);
  await assert.rejects(
    createFile(join(inside, 'missing', 'name'), 'x'),
    (error: unknown) => error instanceof SysError && error.errno === 'ENOENT',
  );
});

test('a folder that cannot be made is refused at once: below /proc, below a file, in the place of a file', {
  timeout: 10_000,
}, async () => {
  const path = join(root, 'a-file');
  writeFileSync(path, '');
  for (const [wanted, errno] of [
    ['/proc/assay/below', 'ENOENT'],
    [join(path, 'below'), 'ENOTDIR'],
    [path, 'ENOTDIR'],
  ] as const) {
    await assert.rejects(
      privateFolder(wanted),
      (error) => error instanceof SysError && error.code === 'sys.call-failed' && error.errno === errno,
    );
  }
});
