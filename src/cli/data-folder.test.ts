import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { prepareDataFolder } from './data-folder.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const root = mkdtempSync(join(tmpdir(), 'assay-data-folder-'));
after(() => rmSync(root, { recursive: true, force: true }));

function folder(name: string, mode: number, files: readonly string[] = []): string {
  const path = join(root, name);
  mkdirSync(path);
  for (const file of files) writeFileSync(join(path, file), '');
  chmodSync(path, mode);
  return path;
}

test('it is made for this user alone, and nothing is left in it', async () => {
  const path = join(root, 'new', 'below');
  assert.equal(await prepareDataFolder(path), path);
  assert.equal(statSync(path).mode & 0o777, 0o700);
  assert.deepEqual(readdirSync(path), []);
});

test('a folder with other things, as /etc is, is refused and keeps its permissions; one of ours is made private', async () => {
  const foreign = folder('foreign', 0o755, ['passwd']);
  await assert.rejects(prepareDataFolder(foreign), { code: 'data-folder.not-ours' });
  assert.equal(statSync(foreign).mode & 0o777, 0o755);
  const ours = folder('ours', 0o755, ['server', 'passwd']);
  await prepareDataFolder(ours);
  assert.equal(statSync(ours).mode & 0o777, 0o700);
});

test('a folder that others may write to is refused with both ways out', async () => {
  const shared = folder('shared', 0o777);
  await assert.rejects(prepareDataFolder(shared), {
    code: 'data-folder.not-private',
    advice: /chmod 700 .*--data DIR/,
  });
});

for (const [path, ...command] of [
  ['/proc/x', 'up', '--once'],
  ['/etc/passwd', 'server', 'run'],
  ['/proc/x', 'tpm', 'info', '--tpm', ''],
  ['/etc/passwd', 'evidence', 'collect', '-o', '/dev/null'],
] as const) {
  test(`assay ${command.slice(0, 2).join(' ')}: an impossible data folder is one line that names it and --data`, () => {
    const { status, stderr } = spawnSync(process.execPath, [MAIN, ...command, '--data', path], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    assert.equal(status, 2, stderr);
    assert.match(stderr, new RegExp(`^assay: the data folder ${path} cannot be used: [^\\n]+--data DIR\\n$`));
  });
}
