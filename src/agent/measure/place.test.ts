import assert from 'node:assert/strict';
import { mkdtempSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isNativeAvailable, kernelMemoryDevices } from '../../sys/index.ts';
import { placeOf } from './place.ts';

const asNative = { skip: isNativeAvailable() ? false : 'koffi does not load here' };

function temporaryFile(t: TestContext, name: string): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'assay-place-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, name), 'x');
  return join(folder, name);
}

const place = (link: string, of: string, isShared = false) =>
  placeOf({ link, stats: statSync(of, { bigint: true }), pid: process.pid, isShared });

test('a file under its own path is on disk, also where its name only looks deleted', (t) => {
  for (const name of ['program', 'program (deleted)', 'memfd:program (deleted)']) {
    const file = temporaryFile(t, name);
    assert.deepEqual(place(file, file), { path: file, state: 'on-disk' });
  }
});

test('a deleted file keeps its path; what took its place makes it replaced', (t) => {
  const file = temporaryFile(t, 'program');
  renameSync(file, `${file}.old`);
  assert.deepEqual(place(`${file} (deleted)`, `${file}.old`), { path: file, state: 'deleted' });
  writeFileSync(file, 'y');
  assert.deepEqual(place(`${file} (deleted)`, `${file}.old`), { path: file, state: 'replaced' });
});

test("a program without a file has the kernel's name for it; a compiler's shared memory is no program", (t) => {
  const file = temporaryFile(t, 'program');
  assert.deepEqual(place('/memfd:a b (deleted)', file), { path: 'memfd:a b', state: 'elsewhere' });
  assert.equal(place('/memfd:a b (deleted)', file, true), undefined);
});

const KERNEL_NAMES = ['/dev/zero', '/SYSV00000000', '/anon_hugepage', '/i915', '/drm mm object'];

test("a program that has the name of the kernel's own memory is listed: anybody can name a file so", (t) => {
  const file = temporaryFile(t, 'program');
  for (const link of KERNEL_NAMES) {
    assert.equal(place(link, file)?.path, link);
    assert.equal(place(`${link} (deleted)`, file)?.path, link);
  }
});

test("memory on the kernel's internal file systems is not listed, whatever its name", asNative, () => {
  const [dev] = kernelMemoryDevices();
  assert.ok(dev !== undefined);
  const stats = Object.assign(statSync('/', { bigint: true }), { dev });
  for (const link of [...KERNEL_NAMES, '/of a later kernel']) {
    assert.equal(placeOf({ link: `${link} (deleted)`, stats, pid: process.pid, isShared: false }), undefined);
  }
  assert.notEqual(placeOf({ link: '/dev/zero', stats, pid: process.pid, isShared: false }), undefined);
});
