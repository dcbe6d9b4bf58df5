import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathInRoot } from './in-root.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'assay-root-')));
after(() => rmSync(folder, { recursive: true, force: true }));

const root = join(folder, 'root');
mkdirSync(join(root, 'usr/lib'), { recursive: true });
mkdirSync(join(root, 'srv/etc'), { recursive: true });
mkdirSync(join(folder, 'outside'));
for (const [name, target] of [
  ['lib', 'usr/lib'],
  ['etc', '/srv/etc'],
  ['up', '../../../usr/lib'],
  ['out', `${folder}/outside`],
  ['circle', 'circle'],
  ['magic', '/proc/self/root'],
] as const)
  symlinkSync(target, join(root, name));

test('links lead where they do in that system, and missing names are kept', () => {
  for (const [path, found] of [
    ['usr/lib', 'usr/lib'],
    ['/lib/assay/opener', 'usr/lib/assay/opener'],
    ['etc/assay/evm.key', 'srv/etc/assay/evm.key'],
    ['up/dracut', 'usr/lib/dracut'],
    ['../../usr', 'usr'],
    ['', ''],
  ] as const)
    assert.equal(pathInRoot(root, path), join(root, found).replace(/\/$/, ''), path);
});

test('a link that leads out of the root, in a circle or to nothing is refused', () => {
  for (const path of ['out', 'out/assay', 'magic', 'magic/etc'])
    assert.throws(() => pathInRoot(root, path), /is a link that leads to nothing/, path);
  assert.throws(() => pathInRoot(root, 'circle/x'), { errno: 'ELOOP' });
});

test('the running system’s own root is left to it', () => {
  assert.equal(pathInRoot('/', 'etc/../etc/assay'), '/etc/assay');
});

test('a root that is not there is the error of its opening', () => {
  assert.throws(() => pathInRoot(join(folder, 'missing'), 'etc'), { code: 'ENOENT' });
});
