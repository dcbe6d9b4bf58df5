import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type HostFile, judgeHostFiles, referenceFromHost } from './index.ts';
import { parseDiversions, parseMd5sums, parseStatus } from './parse.ts';

const md5 = (text: string) => createHash('md5').update(text).digest('hex');
const sha256 = (text: string) => createHash('sha256').update(text).digest();

test('status: installed packages with version, architecture and conffiles; removed ones left out', () => {
  const text = [
    'Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2.15-2+b7',
    `Conffiles:\n /etc/bash.bashrc ${md5('a')}\n /etc/with space ${md5('b')} obsolete\nDescription: GNU shell\n /not/a/conffile ${md5('c')}`,
    '',
    'Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1',
    '',
    'no stanza at all',
  ].join('\n');
  const [bash, ...others] = parseStatus(text);
  assert.deepEqual(others, []);
  assert.equal(bash?.name, 'bash');
  assert.equal(bash?.architecture, 'amd64');
  assert.equal(bash?.version, '5.2.15-2+b7');
  assert.deepEqual(
    [...(bash?.conffiles ?? [])],
    [
      ['/etc/bash.bashrc', md5('a')],
      ['/etc/with space', md5('b')],
    ],
  );
});

test('md5sums: relative, dotted and escaped names; lines in no form are passed over', () => {
  const lines = [`${md5('1')}  bin/bash`, `${md5('2')}  ./usr/x`, `\\${md5('3')}  usr/new\\nline\\\\`, 'nonsense', ''];
  assert.deepEqual(
    [...parseMd5sums(lines.join('\n'))],
    [
      ['/bin/bash', md5('1')],
      ['/usr/x', md5('2')],
      ['/usr/new\nline\\', md5('3')],
    ],
  );
});

test('any text is parsed without an exception', () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 300, unit: fc.constantFrom(...'Package: StatusVion\n\t /0af\\:installed') }),
      (text) => {
        parseStatus(text);
        parseDiversions(text);
        parseMd5sums(text);
      },
    ),
  );
});

test('what md5sum writes is what is read, whatever the name', () => {
  const name = fc.string({ minLength: 1, maxLength: 20 }).filter((one) => !/^[./]/.test(one) && !/[\0\r]/.test(one));
  fc.assert(
    fc.property(name, (path) => {
      const escaped = path.replace(/[\\\n]/g, (letter) => (letter === '\n' ? '\\n' : '\\\\'));
      const line = `${escaped === path ? '' : '\\'}${md5(path)}  ${escaped}\n`;
      assert.deepEqual([...parseMd5sums(line)], [[`/${path}`, md5(path)]]);
    }),
  );
});

interface Tree {
  readonly files: Readonly<Record<string, string>>;
  readonly packages: Readonly<Record<string, Readonly<Record<string, string | null>>>>;
  readonly diversions?: string;
  readonly merged?: boolean;
}

/** A file tree with a dpkg database: package → shipped path → content as shipped (null: no checksum). */
function makeRoot(t: { after(fn: () => void): void }, tree: Tree): string {
  const root = mkdtempSync(join(tmpdir(), 'assay-dpkg-'));
  t.after(() => rmSync(root, { recursive: true }));
  const put = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  if (tree.merged === true) {
    mkdirSync(join(root, 'usr/bin'), { recursive: true });
    symlinkSync('usr/bin', join(root, 'bin'));
  }
  for (const [path, text] of Object.entries(tree.files)) put(path, text);
  let status = '';
  for (const [name, shipped] of Object.entries(tree.packages)) {
    const [bare, architecture = 'amd64'] = name.split(':');
    status += `Package: ${bare}\nStatus: install ok installed\nArchitecture: ${architecture}\nVersion: 1.0-1\n\n`;
    put(`var/lib/dpkg/info/${name}.list`, `/.\n${Object.keys(shipped).join('\n')}\n`);
    const sums = Object.entries(shipped).flatMap(([path, text]) =>
      text === null ? [] : [`${md5(text)}  ${path.slice(1)}\n`],
    );
    put(`var/lib/dpkg/info/${name}.md5sums`, sums.join(''));
  }
  put('var/lib/dpkg/status', status);
  put('var/lib/dpkg/diversions', tree.diversions ?? '');
  return root;
}

const running = (path: string, content: string): HostFile => ({
  path: Buffer.from(path),
  sha256: sha256(content),
  md5: Buffer.from(md5(content), 'hex'),
  state: 'on-disk',
});

const digestOf = (content: string) => `sha256:${sha256(content).toString('hex')}`;

test('shipped as is, modified, unpackaged and without a checksum are told apart', (t) => {
  const root = makeRoot(t, {
    files: {},
    packages: { tools: { '/usr/bin/a': 'a', '/usr/bin/b': 'b', '/usr/bin/nosum': null } },
  });
  const files = [
    running('/usr/bin/a', 'a'),
    running('/usr/bin/b', 'evil'),
    running('/usr/bin/nosum', 'n'),
    running('/opt/mine', 'm'),
  ];
  const manifest = referenceFromHost(files, { name: 'host', created: new Date(0), root });
  assert.equal(manifest.self, true);
  const origin = 'tools 1.0-1 (dpkg)';
  assert.deepEqual(manifest.files, [{ path: '/usr/bin/a', digests: [digestOf('a')], origin }]);
  assert.deepEqual(manifest.pending, [
    { path: '/opt/mine', digest: digestOf('m'), reason: 'unpackaged' },
    { path: '/usr/bin/b', digest: digestOf('evil'), reason: 'modified', origin },
    { path: '/usr/bin/nosum', digest: digestOf('n'), reason: 'no-checksum', origin },
  ]);
});

test('a package that ships /bin/x owns /usr/bin/x where /bin is a link to it, and not where it is a folder', (t) => {
  const packages = { 'shell:amd64': { '/bin/sh': 's' } };
  const merged = makeRoot(t, { files: {}, packages, merged: true });
  const apart = makeRoot(t, { files: {}, packages });
  assert.equal(judgeHostFiles([running('/usr/bin/sh', 's')], merged)[0]?.kind, 'shipped');
  assert.equal(judgeHostFiles([running('/usr/bin/sh', 's')], apart)[0]?.kind, 'pending');
});

test("a diverted file is looked for where the diversion puts it, and the diverter's own where it is", (t) => {
  const root = makeRoot(t, {
    files: {},
    packages: { original: { '/usr/bin/x': 'theirs' }, diverter: { '/usr/bin/x': 'ours' } },
    diversions: '/usr/bin/x\n/usr/bin/x.orig\ndiverter\n',
  });
  const judged = judgeHostFiles([running('/usr/bin/x', 'ours'), running('/usr/bin/x.orig', 'theirs')], root);
  assert.deepEqual(
    judged.map((one) => [one.kind, one.file.origin]),
    [
      ['shipped', 'diverter 1.0-1 (dpkg)'],
      ['shipped', 'original 1.0-1 (dpkg)'],
    ],
  );
  assert.equal(judgeHostFiles([running('/usr/bin/x', 'theirs')], root)[0]?.kind, 'pending');
});

test('a replaced library: what lies on disk now is referred to, what is still in use waits as replaced', (t) => {
  const root = makeRoot(t, { files: { '/usr/lib/l.so': 'new' }, packages: { lib: { '/usr/lib/l.so': 'new' } } });
  const old = { path: Buffer.from('/usr/lib/l.so'), sha256: sha256('old'), state: 'replaced' } as const;
  const manifest = referenceFromHost([old], { name: 'host', created: new Date(0), root });
  const origin = 'lib 1.0-1 (dpkg)';
  assert.deepEqual(manifest.files, [{ path: '/usr/lib/l.so', digests: [digestOf('new')], origin }]);
  assert.deepEqual(manifest.pending, [{ path: '/usr/lib/l.so', digest: digestOf('old'), reason: 'replaced', origin }]);
});

test('a deleted file waits with the digest in use', (t) => {
  const root = makeRoot(t, { files: {}, packages: { lib: {} } });
  const old = { path: Buffer.from('/usr/lib/old.so'), sha256: sha256('old'), state: 'deleted' } as const;
  const judged = judgeHostFiles([old], root);
  assert.deepEqual(judged, [
    { kind: 'pending', file: { path: '/usr/lib/old.so', digest: digestOf('old'), reason: 'replaced' } },
  ]);
});

test('a name that holds a star or a backslash is referred to by itself, not as a pattern', (t) => {
  const root = makeRoot(t, { files: {}, packages: { odd: { '/usr/bin/a*\\': 'a' } } });
  const [judged] = judgeHostFiles([running('/usr/bin/a*\\', 'a')], root);
  assert.equal(judged?.kind, 'shipped');
  assert.equal(judged?.file.path, '/usr/bin/a\\*\\\\');
});

test('without a dpkg database every file is unpackaged', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'assay-dpkg-'));
  t.after(() => rmSync(root, { recursive: true }));
  assert.equal(judgeHostFiles([running('/usr/bin/a', 'a')], root)[0]?.kind, 'pending');
});

test("this machine's own tools are as their packages shipped them", {
  skip: existsSync('/var/lib/dpkg/status') ? false : 'needs a machine kept by dpkg',
}, () => {
  const paths = ['/usr/bin/dpkg', '/usr/bin/bash', '/usr/bin/[', '/usr/bin/env'].filter((path) => existsSync(path));
  const files = paths.map((path) => ({ path: Buffer.from(path), sha256: sha256(''), state: 'on-disk' }) as const);
  const judged = judgeHostFiles(files);
  assert.deepEqual(
    judged.map((one) => one.kind),
    paths.map(() => 'shipped'),
  );
  const bash = judged.find((one) => one.file.path === '/usr/bin/bash');
  const expected = `sha256:${createHash('sha256').update(readFileSync('/usr/bin/bash')).digest('hex')}`;
  assert.deepEqual(bash?.kind === 'shipped' ? bash.file.digests : [], [expected]);
});
