/** Labels that travel: manifests and archives, against cp, GNU tar and bsdtar, and against who made them to do harm. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { labelTree } from '../../src/appraise/index.ts';
import { encodeHeader, TYPE } from '../../src/appraise/portable/tar/header.ts';
import { encodePaxRecord } from '../../src/appraise/portable/tar/pax.ts';
import { getXattr, listXattrs, setXattr } from '../../src/sys/index.ts';
import { requires } from './requirements.ts';

const ASSAY = join(import.meta.dirname, '../../bin/assay');
const IS_ROOT = process.geteuid?.() === 0;
/** The kernel judges security.*, which only root may write. */
const NAMESPACE = IS_ROOT ? 'security' : 'user';
const USER = IS_ROOT ? [] : ['--xattr-user'];
const needsRoot = { skip: IS_ROOT ? false : 'needs root' } as const;

function run(program: string, ...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(program, args, { encoding: 'utf8' });
}

function done(program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = run(program, ...args);
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

const label = (...args: readonly string[]) => run(ASSAY, 'label', ...args);
const labelJson = (...args: readonly string[]) => JSON.parse(done(ASSAY, 'label', ...args, '--json').trim());

async function withFolder(use: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'assay-portable-'));
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const STRANGE = Buffer.from([0x62, 0xff, 0xfe, 0x0a]);
const LONG = `${'d'.repeat(200)}/${'n'.repeat(250)}`;

/** A labelled tree with every kind of name and link. */
async function makeTree(folder: string): Promise<string> {
  const tree = join(folder, 'tree');
  mkdirSync(join(tree, 'a/b'), { recursive: true });
  mkdirSync(join(tree, 'empty'));
  mkdirSync(join(tree, 'd'.repeat(200)));
  writeFileSync(join(tree, 'a/program'), 'program');
  chmodSync(join(tree, 'a/program'), 0o750);
  writeFileSync(join(tree, 'a/b/large'), Buffer.alloc(3_000_001, 'large'));
  writeFileSync(join(tree, LONG), 'long');
  writeFileSync(join(tree, 'grün'), '');
  writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), STRANGE]), 'strange');
  linkSync(join(tree, 'a/program'), join(tree, 'further'));
  symlinkSync('a/program', join(tree, 'link'));
  symlinkSync('/nowhere/at/all', join(tree, 'absolute'));
  await labelTree(tree, { namespace: NAMESPACE, jobs: 1 });
  setXattr(join(tree, 'a'), `${NAMESPACE}.assay.dir`, Buffer.from('\n=\0 label of a folder', 'latin1'));
  return tree;
}

/** Everything that is to travel, by path in latin1. */
function facts(tree: string, metadata = true): Map<string, unknown> {
  const all = new Map<string, unknown>();
  const look = (path: Buffer): void => {
    const stats = lstatSync(path);
    const key = path.subarray(tree.length + 1).toString('latin1');
    if (stats.isSymbolicLink()) {
      all.set(key, readlinkSync(path));
      return;
    }
    const names = listXattrs(path).filter((name) => name.startsWith(`${NAMESPACE}.`));
    const labels = names.sort().map((name) => [name, getXattr(path, name)?.toString('hex')]);
    const { mode, uid, gid, nlink, mtimeMs } = stats;
    const own = stats.isDirectory() ? { mode, uid, gid } : { mode, uid, gid, nlink, mtime: Math.floor(mtimeMs) };
    const content = stats.isDirectory() ? '' : readFileSync(path).toString('latin1');
    all.set(key, { labels, content, ...(metadata ? own : {}) });
    if (!stats.isDirectory()) return;
    for (const name of readdirSync(path, 'buffer')) look(Buffer.concat([path, Buffer.from('/'), name]));
  };
  look(Buffer.from(tree));
  return all;
}

test('a manifest gives a bare copy its labels, and says what it would do and whether it is done', async () => {
  await withFolder(async (folder) => {
    const tree = await makeTree(folder);
    const [manifest, copy] = [join(folder, 'labels.jsonl'), join(folder, 'copy')];
    done(ASSAY, 'label', 'export', tree, '-o', manifest, ...USER);
    done('cp', '-r', '--no-preserve=xattr', tree, copy);
    const bare = facts(copy, false);
    assert.notDeepEqual(bare, facts(tree, false));

    assert.equal(labelJson('import', manifest, copy, '--dry-run').changes.added, 7);
    const verified = label('import', manifest, copy, '--verify');
    assert.equal(verified.status, 1);
    assert.match(verified.stderr, /^a\/program: does not bear these labels \[other-labels\]$/m);
    assert.deepEqual(facts(copy, false), bare);

    assert.equal(labelJson('import', manifest, copy).changes.added, 7);
    assert.deepEqual(facts(copy, false), facts(tree, false));
    assert.equal(labelJson('import', manifest, copy).changes.same, 7);
    assert.equal(labelJson('import', manifest, copy, '--verify').changes.same, 7);
  });
});

test('labels are given only to the content they were made for; the rest is done', async () => {
  await withFolder(async (folder) => {
    const tree = await makeTree(folder);
    const [manifest, copy, outside] = [join(folder, 'labels.jsonl'), join(folder, 'copy'), join(folder, 'outside')];
    done(ASSAY, 'label', 'export', tree, '-o', manifest, ...USER);
    done('cp', '-r', '--no-preserve=xattr', tree, copy);
    writeFileSync(join(copy, 'a/program'), 'Program');
    truncateSync(join(copy, 'a/b/large'), 3_000_000);
    rmSync(join(copy, 'grün'));
    mkdirSync(join(copy, 'grün'));
    rmSync(join(copy, 'further'));
    cpSync(join(tree, 'd'.repeat(200)), outside, { recursive: true });
    rmSync(join(copy, 'd'.repeat(200)), { recursive: true });
    symlinkSync(outside, join(copy, 'd'.repeat(200)));
    const { status, stdout } = label('import', manifest, copy, '--json');
    assert.equal(status, 1);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const problems = lines.filter(({ problem }) => problem !== undefined).map(({ path, problem }) => [path, problem]);
    assert.deepEqual(problems.sort(), [
      ['a/b/large', 'other-content'],
      ['a/program', 'other-content'],
      [LONG, 'became-link'],
      ['further', 'missing'],
      ['grün', 'other-type'],
    ]);
    assert.equal(lines.at(-1).changes.added, 2);
    assert.equal(getXattr(join(copy, 'a/program'), `${NAMESPACE}.ima`), undefined);
    assert.deepEqual(listXattrs(join(outside, 'n'.repeat(250))).includes('user.ima'), false);
  });
});

/** 05, signature format 2, sha256: as long as a P-256 signature; what it says is not looked at here. */
const PORTABLE = Buffer.concat([Buffer.of(5, 2, 4, 1, 2, 3, 4, 0, 70), Buffer.alloc(70, 7)]);
const HMAC = Buffer.concat([Buffer.of(2), Buffer.alloc(20, 9)]);
/** struct vfs_cap_data, revision 2: cap_net_raw, effective. */
const NET_RAW = Buffer.from('0100000200200000000000000000000000000000', 'hex');

test('EVM: portable labels travel, and only where mode, owner and capability are theirs', needsRoot, async () => {
  await withFolder((folder) => {
    const [tree, copy, manifest] = [join(folder, 'tree'), join(folder, 'copy'), join(folder, 'labels.jsonl')];
    for (const place of [tree, copy]) {
      mkdirSync(place);
      for (const name of ['portable', 'bound']) writeFileSync(join(place, name), name);
    }
    chownSync(join(tree, 'portable'), 12, 34);
    chmodSync(join(tree, 'portable'), 0o4711);
    for (const name of ['portable', 'bound']) setXattr(join(tree, name), 'security.ima', Buffer.of(4, 4, 1));
    setXattr(join(tree, 'portable'), 'security.capability', NET_RAW);
    setXattr(join(tree, 'portable'), 'security.evm', PORTABLE);
    setXattr(join(tree, 'bound'), 'security.evm', HMAC);
    done(ASSAY, 'label', 'export', tree, '-o', manifest);

    const refused = label('import', manifest, copy);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /^portable: .*--metadata sets them \[other-metadata\]$/m);
    assert.deepEqual(listXattrs(join(copy, 'portable')), []);
    assert.deepEqual(listXattrs(join(copy, 'bound')), ['security.ima']);

    done(ASSAY, 'label', 'import', manifest, copy, '--metadata');
    const { mode, uid, gid } = statSync(join(copy, 'portable'));
    assert.deepEqual([mode & 0o7777, uid, gid], [0o4711, 12, 34]);
    assert.deepEqual(getXattr(join(copy, 'portable'), 'security.evm'), PORTABLE);
    assert.deepEqual(getXattr(join(copy, 'portable'), 'security.capability'), NET_RAW);
    done(ASSAY, 'label', 'import', manifest, copy, '--verify');

    done(ASSAY, 'label', 'export', tree, '-o', manifest, '--bound');
    assert.equal(labelJson('import', manifest, copy).bound, 1);
    done(ASSAY, 'label', 'import', manifest, copy, '--bound');
    assert.deepEqual(getXattr(join(copy, 'bound'), 'security.evm'), HMAC);
  });
});

for (const [program, args] of [
  ['tar', ['--xattrs', '--xattrs-include=*', '-xpf']],
  ['bsdtar', ['-xpf']],
] as const) {
  test(`${program} restores our archive, labels and all`, requires(program), async () => {
    await withFolder(async (folder) => {
      const tree = await makeTree(folder);
      const [archive, copy] = [join(folder, 'tree.tar'), join(folder, 'copy')];
      if (IS_ROOT) setXattr(join(tree, 'a/program'), 'security.capability', NET_RAW);
      done(ASSAY, 'label', 'export', tree, '--format', 'tar', '-o', archive, ...USER);
      mkdirSync(copy);
      done(program, ...args, archive, '-C', copy);
      assert.deepEqual(facts(copy), facts(tree));
    });
  });
}

for (const [program, args] of [
  ['tar', ['--format=posix', '--xattrs', '--xattrs-include=*', '-cf']],
  ['bsdtar', ['--format=pax', '--xattrs', '-cf']],
] as const) {
  test(`what ${program} packed is imported, twice`, requires(program), async () => {
    await withFolder(async (folder) => {
      const tree = await makeTree(folder);
      const [archive, copy] = [join(folder, 'tree.tar'), join(folder, 'copy')];
      if (IS_ROOT) setXattr(join(tree, 'a/program'), 'security.capability', NET_RAW);
      done(program, ...args, archive, '-C', tree, '.');
      mkdirSync(copy);
      assert.equal(labelJson('import', archive, copy, '--dry-run').changes.created, 12);
      assert.deepEqual(readdirSync(copy), []);
      assert.equal(labelJson('import', archive, copy).changes.created, 12);
      assert.deepEqual(facts(copy), facts(tree));
      assert.equal(labelJson('import', archive, copy, '--verify').changes.same, 13);
    });
  });
}

test('an archive of a pipe, labelled onto a bare copy; other content stays as it is', requires('tar'), async () => {
  await withFolder(async (folder) => {
    const tree = await makeTree(folder);
    const copy = join(folder, 'copy');
    done('cp', '-r', '--no-preserve=xattr', '--preserve=links', tree, copy);
    writeFileSync(join(copy, 'a/b/large'), 'mine');
    const pack = `'${ASSAY}' label export '${tree}' --format tar -o - ${USER.join(' ')}`;
    const { status, stdout } = run('sh', '-c', `${pack} | '${ASSAY}' label import - '${copy}' --json`);
    assert.equal(status, 1);
    assert.match(stdout, /^{"path":"a\/b\/large","problem":"other-content"}$/m);
    assert.equal(readFileSync(join(copy, 'a/b/large'), 'utf8'), 'mine');
    assert.deepEqual(
      getXattr(join(copy, 'a/program'), `${NAMESPACE}.ima`),
      getXattr(join(tree, 'a/program'), `${NAMESPACE}.ima`),
    );
    assert.equal(statSync(join(copy, 'further')).ino, statSync(join(copy, 'a/program')).ino);
  });
});

interface Entry {
  readonly name: string;
  readonly type?: string;
  readonly link?: string;
  readonly content?: string;
}

function archiveOf(entries: readonly Entry[]): Buffer {
  const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
  const ids = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const parts = entries.map(({ name, type = TYPE.file, link = '', content = '' }) => {
    const bytes = Buffer.from(content);
    const rest = { mode: 0o755, ...ids, mtime: 0, type, size: bytes.length };
    return Buffer.concat([
      encodeHeader({ name: Buffer.from(name), linkName: Buffer.from(link), ...rest }),
      padded(bytes),
    ]);
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

test('a hostile archive writes nothing outside of the tree, and nothing over what is there', async () => {
  await withFolder((folder) => {
    const [tree, outside, archive] = [join(folder, 'tree'), join(folder, 'outside'), join(folder, 'x.tar')];
    for (const place of [tree, outside]) mkdirSync(place);
    writeFileSync(join(outside, 'secret'), 'secret');
    writeFileSync(join(tree, 'mine'), 'mine');
    const entries: Entry[] = [
      { name: '../up', content: 'x' },
      { name: 'a/../../up', content: 'x' },
      { name: `${outside}/absolute`, content: 'x' },
      { name: 'out', type: TYPE.symlink, link: outside },
      { name: 'out/through', content: 'x' },
      { name: 'out/folder', type: TYPE.directory },
      { name: 'out/link', type: TYPE.symlink, link: 'x' },
      { name: 'out', type: TYPE.directory },
      { name: 'out', content: 'x' },
      { name: 'hard', type: TYPE.hardLink, link: 'out/secret' },
      { name: 'hard2', type: TYPE.hardLink, link: '../outside/secret' },
      { name: 'hard3', type: TYPE.hardLink, link: 'mine' },
      { name: 'mine', content: 'yours' },
      { name: 'mine', type: TYPE.symlink, link: '/etc/passwd' },
      { name: 'mine/below', content: 'x' },
      { name: 'hard4', type: TYPE.hardLink, link: './mine' },
      { name: '', type: TYPE.symlink, link: 'x' },
      { name: 'odd', type: 'Z', content: 'x' },
      { name: 'fifo', type: '6' },
      { name: 'new/deep/file', content: 'fine' },
    ];
    writeFileSync(archive, archiveOf(entries));
    const { status, stdout } = label('import', archive, tree, '--json', '--verbose');
    assert.equal(status, 1);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const told = lines.slice(0, -1).map(({ path, change, problem }) => [path, change ?? problem]);
    assert.deepEqual(told, [
      ['../up', 'unsafe-path'],
      ['a/../../up', 'unsafe-path'],
      [`${outside}/absolute`, 'unsafe-path'],
      ['out', 'created'],
      ['out/through', 'became-link'],
      ['out/folder', 'became-link'],
      ['out/link', 'became-link'],
      ['out', 'became-link'],
      ['out', 'became-link'],
      ['hard', 'became-link'],
      ['hard2', 'unsafe-path'],
      ['hard3', 'created'],
      ['mine', 'other-content'],
      ['mine', 'other-type'],
      ['mine/below', 'other-type'],
      ['hard4', 'missing'],
      ['.', 'other-type'],
      ['odd', 'unsupported-entry'],
      ['new/deep/file', 'created'],
    ]);
    assert.equal(lines.at(-1).special, 1);
    assert.deepEqual(readdirSync(outside), ['secret']);
    assert.deepEqual(readdirSync(folder).sort(), ['outside', 'tree', 'x.tar']);
    assert.equal(readFileSync(join(tree, 'mine'), 'utf8'), 'mine');
    assert.equal(readFileSync(join(tree, 'new/deep/file'), 'utf8'), 'fine');
    assert.deepEqual(readdirSync(tree).sort(), ['hard3', 'mine', 'new', 'out']);
  });
});

test('an archive that is cut short is said to be, and leaves no half file', async () => {
  await withFolder((folder) => {
    const [tree, archive] = [join(folder, 'tree'), join(folder, 'x.tar')];
    mkdirSync(tree);
    const whole = archiveOf([
      { name: 'first', content: 'first' },
      { name: 'second', content: 'second'.repeat(1000) },
    ]);
    writeFileSync(archive, whole.subarray(0, 4000));
    const { status, stderr } = label('import', archive, tree);
    assert.equal(status, 2);
    assert.match(stderr, /^assay: tar archive: ends before its end is marked: it is cut short \(at byte 4000\)$/m);
    assert.match(stderr, /^1 entries were done before what follows, and stay/m);
    assert.deepEqual(readdirSync(tree), ['first']);
    writeFileSync(archive, whole);
    assert.deepEqual(labelJson('import', archive, tree).changes, { added: 0, replaced: 0, same: 1, created: 1 });
  });
});

test('only labels and capabilities are taken from an archive', async () => {
  await withFolder((folder) => {
    const [tree, archive] = [join(folder, 'tree'), join(folder, 'x.tar')];
    mkdirSync(tree);
    const records = ['user.ima', 'user.other', 'trusted.overlay.opaque'].map((name) =>
      encodePaxRecord(`SCHILY.xattr.${name}`, Buffer.from('y')),
    );
    const pax = Buffer.concat(records).toString();
    writeFileSync(
      archive,
      archiveOf([
        { name: 'pax', type: TYPE.pax, content: pax },
        { name: 'file', content: 'x' },
      ]),
    );
    done(ASSAY, 'label', 'import', archive, tree);
    assert.deepEqual(
      listXattrs(join(tree, 'file')).filter((name) => name !== 'security.selinux'),
      ['user.ima'],
    );
  });
});

test('hostile manifests', async () => {
  await withFolder((folder) => {
    const [tree, manifest] = [join(folder, 'tree'), join(folder, 'labels.jsonl')];
    mkdirSync(tree);
    writeFileSync(join(folder, 'outside'), '');
    const header = '{"assay":"labels","version":1,"root":"/","hash":"sha256"}\n';
    const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
    const record = (path: string): string =>
      `${JSON.stringify({ path, type: 'file', mode: '0644', uid: 0, gid: 0, size: 0, digest: empty, labels: { 'user.ima': 'AQ==' } })}\n`;
    const given = (text: string) => {
      writeFileSync(manifest, text, 'latin1');
      return label('import', manifest, tree);
    };
    const bad = given(`${header}${record('../outside')}${record(join(folder, 'outside'))}{"records":2}\n`);
    assert.equal(bad.status, 1);
    assert.equal(bad.stderr.match(/\[unsafe-path\]$/gm)?.length, 2);
    assert.deepEqual(listXattrs(join(folder, 'outside')).includes('user.ima'), false);

    const refused: [string, RegExp][] = [
      ['', /neither a manifest of labels nor a tar archive/],
      ['\x1f\x8b rest', /decompress it first/],
      ['{}\n', /manifest line 1, "assay": is no string/],
      [header, /has no last line that counts the others: it is cut short/],
      [`${header}${record('a')}`.slice(0, -1), /manifest line 2: has no end: the file is cut short/],
      [`${header}{"records":1}\n`, /says 1 records in its last line and has 0/],
      [`${header}{"records":0}\nx\n`, /goes on after the line that ends it/],
      [`${header}${'x'.repeat(600_000)}`, /manifest line 2: is longer than 524288 bytes/],
    ];
    for (const [text, expected] of refused) {
      const { status, stderr } = given(text);
      assert.equal(status, 2, text.slice(0, 80));
      assert.match(stderr, expected);
    }
  });
});

test('an export that cannot be whole leaves no file, and none into its own tree', async () => {
  await withFolder((folder) => {
    const tree = join(folder, 'tree');
    mkdirSync(tree);
    const within = label('export', tree, '-o', join(tree, 'labels'), ...USER);
    assert.equal(within.status, 2);
    assert.match(within.stderr, /lies in the tree that is exported/);
    const nowhere = label('export', tree, '-o', join(folder, 'no/labels'), ...USER);
    assert.equal(nowhere.status, 2);
    assert.deepEqual(readdirSync(folder), ['tree']);
    assert.equal(existsSync(join(tree, 'labels')), false);
  });
});

test('a device is written to and not replaced; a full one is said', async () => {
  await withFolder(async (folder) => {
    const tree = await makeTree(folder);
    const device = join(folder, 'device');
    symlinkSync('/dev/full', device);
    const { status, stderr } = label('export', tree, '-o', device, ...USER);
    assert.equal(status, 2);
    assert.match(stderr, /the disk is full/);
    assert.equal(readlinkSync(device), '/dev/full');
    assert.equal(statSync(device).isCharacterDevice(), true);
    assert.deepEqual(readdirSync(folder).sort(), ['device', 'tree']);
  });
});

test('who is killed in the middle leaves no half file, and is run again', async () => {
  await withFolder(async (folder) => {
    const [tree, copy, archive] = [join(folder, 'tree'), join(folder, 'copy'), join(folder, 'x.tar')];
    for (const place of [tree, copy]) mkdirSync(place);
    for (const name of ['first', 'second', 'third']) writeFileSync(join(tree, name), Buffer.alloc(2_000_000, name));
    done(ASSAY, 'label', tree, ...USER);
    done(ASSAY, 'label', 'export', tree, '--format', 'tar', '-o', archive, ...USER);
    const whole = readFileSync(archive);

    // The import has read half of the second file when it is killed.
    const half = spawn(ASSAY, ['label', 'import', '-', copy], { stdio: ['pipe', 'ignore', 'inherit'] });
    half.stdin.on('error', () => undefined); // what it has not read when it is killed
    half.stdin.write(whole.subarray(0, 3_000_000));
    while (readdirSync(copy).length === 0) {
      assert.equal(half.exitCode, null);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    half.kill('SIGKILL');
    await once(half, 'exit');
    assert.equal(readdirSync(copy).length, 1, 'one whole file and nothing else');
    assert.deepEqual(labelJson('import', archive, copy).changes, { added: 0, replaced: 0, same: 2, created: 2 });
    done(ASSAY, 'label', 'import', archive, copy, '--verify');

    // Hashing 20 GB that are no blocks takes long enough to be killed in.
    const before = readFileSync(archive);
    writeFileSync(join(tree, 'sparse'), '');
    truncateSync(join(tree, 'sparse'), 20e9);
    setXattr(join(tree, 'sparse'), `${NAMESPACE}.ima`, Buffer.of(4, 4, 1));
    const again = spawn(ASSAY, ['label', 'export', tree, '-o', archive, ...USER], { stdio: 'ignore' });
    const opened = (): boolean => {
      const fds = `/proc/${again.pid}/fd`;
      return readdirSync(fds).some((fd) => {
        const target = existsSync(join(fds, fd)) ? readlinkSync(join(fds, fd)) : '';
        return target === join(tree, 'sparse');
      });
    };
    while (!opened()) {
      assert.equal(again.exitCode, null);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    again.kill('SIGKILL');
    await once(again, 'exit');
    assert.deepEqual(readdirSync(folder).sort(), ['copy', 'tree', 'x.tar']);
    assert.ok(readFileSync(archive).equals(before));
  });
});

test('one file’s digest beside another’s EVM signature never passes appraisal', needsRoot, async () => {
  await withFolder((folder) => {
    const [tree, manifest] = [join(folder, 'tree'), join(folder, 'labels.jsonl')];
    mkdirSync(tree);
    for (const name of ['one', 'two']) writeFileSync(join(tree, name), name);
    const key = join(folder, 'key.pem');
    done(
      'openssl',
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-subj',
      '/CN=x',
      '-keyout',
      key,
      '-out',
      `${key}.crt`,
    );
    const sign = ['--sign', key, '--cert', `${key}.crt`];
    done(ASSAY, 'label', tree, ...sign, '--evm', 'portable');
    done(ASSAY, 'label', 'export', tree, '-o', manifest);
    const [header, ...rest] = readFileSync(manifest, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const files = rest.filter(({ type }) => type === 'file');
    const [first, second] = files.map(({ labels }) => ({ ...labels }));
    files[0].labels['security.evm'] = second['security.evm'];
    files[1].labels['security.evm'] = first['security.evm'];
    writeFileSync(manifest, [header, ...rest].map((line) => `${JSON.stringify(line)}\n`).join(''));
    done(ASSAY, 'label', 'import', manifest, tree);
    const { status, stdout } = run(ASSAY, 'appraise', tree, '--key', `${key}.crt`, '--evm-key', `${key}.crt`);
    assert.equal(status, 1);
    assert.equal(stdout.match(/^(one|two): invalid-/gm)?.length, 2, stdout);
  });
});
