/** Directory labels at access time: names that were changed while nobody watched, each with its own cause. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { DIRECTORY_XATTR, FileDigests, labelDirectories, labelTree } from '../../src/appraise/index.ts';
import type { SignerSource } from '../../src/digsig/index.ts';
import { IMA_XATTR } from '../../src/ima/index.ts';
import { getXattr, removeXattr, setXattr } from '../../src/sys/index.ts';
import { type Guarded, guarded, NO_KEYS, rulesOf, run } from '../fixtures/guarded.ts';
import { makeSigningKey } from '../guest/signing-key.ts';
import { requires, requiresMounts } from './requirements.ts';

const options = { skip: requires('openssl').skip || requiresMounts().skip, timeout: 100_000 };

/** Of one content each; what ends with 0 and what with 1 tells them apart. */
const PROGRAMS: Readonly<Record<string, string>> = {
  'bin/good': '/bin/true',
  'bin/list': '/bin/ls',
  'bin/bad': '/bin/false',
  'bin/old': '/bin/echo',
  'lib/tool': '/bin/true',
  'lib/deep/helper': '/bin/cat',
};

/** One labelled tree on the image. */
class App {
  readonly top: string;
  readonly #key: SignerSource;

  constructor(top: string, key: SignerSource) {
    this.top = top;
    this.#key = key;
    for (const folder of ['bin', 'lib/deep']) mkdirSync(this.at(folder), { recursive: true });
    for (const [name, from] of Object.entries(PROGRAMS)) copyFileSync(from, this.at(name));
  }

  at(name: string): string {
    return join(this.top, name);
  }

  /** @param version of the tree @param files how each file is labelled @param metadata whether that of directories is covered */
  async label(version: bigint, files: 'signatures' | 'digests', rootPath = this.top, metadata = false): Promise<void> {
    await labelTree(this.top, { jobs: 1, ...(files === 'digests' ? {} : { signer: this.#key }) });
    labelDirectories(this.top, {
      digests: new FileDigests('sha256'),
      signer: this.#key,
      now: 0,
      version,
      rootPath,
      metadata,
      onProblem: ({ code }) => assert.fail(code),
    });
  }

  /** What comes of each program, and why. */
  async outcomes({ findings }: Guarded, names: readonly string[]): Promise<Record<string, string | number>> {
    const ran = names.map((name) => [name, run(this.at(name))] as const);
    await delay(50);
    return Object.fromEntries(
      ran.map(([name, outcome]) => {
        const finding = findings.findLast(({ path }) => Buffer.from(path).toString() === this.at(name));
        return [name, outcome === 'EPERM' ? (finding?.fault.cause ?? 'refused without a word') : outcome];
      }),
    );
  }
}

const swap = (one: string, other: string): void => {
  renameSync(one, `${one}.x`);
  renameSync(other, one);
  renameSync(`${one}.x`, other);
};

const labelOf = (path: string): Buffer => Buffer.from(getXattr(path, DIRECTORY_XATTR) ?? []);

interface Attack {
  readonly what: string;
  /** Left out: signatures. */
  readonly files?: 'digests';
  /** Done while nobody watches. */
  readonly attack: (app: App) => void | Promise<void>;
  /** What is refused and why, and what still runs. */
  readonly says: Readonly<Record<string, string | number>>;
}

const ATTACKS: readonly Attack[] = [
  {
    what: 'nothing',
    attack: () => undefined,
    says: { 'bin/good': 0, 'bin/bad': 1, 'lib/tool': 0, 'lib/deep/helper': 0 },
  },
  {
    what: 'two names are swapped',
    attack: (app) => swap(app.at('bin/good'), app.at('bin/bad')),
    says: { 'bin/good': 'entries-swapped', 'bin/bad': 'entries-swapped', 'bin/list': 0, 'lib/tool': 0 },
  },
  {
    what: 'a signed program gets another name',
    attack: (app) => renameSync(app.at('bin/old'), app.at('bin/new')),
    says: { 'bin/new': 'entry-renamed', 'bin/good': 0 },
  },
  {
    what: 'a signed program takes the place of another, which is gone',
    attack: (app) => renameSync(app.at('bin/bad'), app.at('bin/good')),
    says: { 'bin/good': 'entry-content-changed', 'bin/list': 0 },
  },
  {
    what: 'a signed program is moved to another folder',
    attack: (app) => renameSync(app.at('lib/tool'), app.at('bin/tool')),
    says: { 'bin/tool': 'entry-moved', 'bin/good': 0, 'lib/deep/helper': 0 },
  },
  {
    what: 'a signed program is added',
    attack: (app) => {
      copyFileSync(app.at('lib/tool'), app.at('bin/added'));
      setXattr(app.at('bin/added'), IMA_XATTR, Buffer.from(getXattr(app.at('lib/tool'), IMA_XATTR) ?? []));
    },
    says: { 'bin/added': 'entry-added', 'lib/tool': 0, 'bin/good': 0 },
  },
  {
    what: 'a program is added beside some that bear digests: without it the folder is as it was',
    files: 'digests',
    attack: (app) => copyFileSync('/bin/true', app.at('bin/added')),
    says: { 'bin/added': 'missing-hash', 'bin/good': 0 },
  },
  {
    what: 'one of several programs that bear digests is deleted: of the others nothing is proven',
    files: 'digests',
    attack: (app) => unlinkSync(app.at('bin/old')),
    says: { 'bin/good': 'directory-changed', 'lib/tool': 0 },
  },
  {
    what: 'a folder loses its label',
    attack: (app) => void removeXattr(app.at('bin'), DIRECTORY_XATTR),
    says: { 'bin/good': 'missing-directory-label', 'lib/tool': 0 },
  },
  {
    what: 'a folder gets the label of another',
    attack: (app) => setXattr(app.at('bin'), DIRECTORY_XATTR, labelOf(app.at('lib'))),
    says: { 'bin/good': 'other-place', 'lib/tool': 0 },
  },
  {
    what: 'a folder gets another name',
    attack: (app) => renameSync(app.at('lib/deep'), app.at('lib/other')),
    says: { 'lib/other/helper': 'other-place', 'lib/tool': 0 },
  },
  {
    what: 'a folder is put back as it was in an older version',
    attack: async (app) => {
      const older = labelOf(app.at('bin'));
      await app.label(2n, 'signatures');
      setXattr(app.at('bin'), DIRECTORY_XATTR, older);
    },
    says: { 'bin/good': 'older-version', 'lib/tool': 0 },
  },
  {
    what: 'a folder whose label covers its mode is opened to everybody',
    attack: async (app) => {
      await app.label(2n, 'signatures', app.top, true);
      chmodSync(app.at('bin'), 0o777);
    },
    says: { 'bin/good': 'metadata-changed', 'lib/tool': 0, 'lib/deep/helper': 0 },
  },
  {
    what: 'a label is made by a stranger',
    attack: (app) => {
      const label = labelOf(app.at('bin'));
      label[label.length - 1] = (label.at(-1) ?? 0) ^ 1;
      setXattr(app.at('bin'), DIRECTORY_XATTR, label);
    },
    says: { 'bin/good': 'invalid-directory-signature', 'lib/tool': 0 },
  },
  {
    what: 'the tree loses the label of its top: who keeps it cannot be told any more',
    attack: (app) => void removeXattr(app.top, DIRECTORY_XATTR),
    says: { 'bin/good': 'missing-directory-label', 'lib/tool': 'missing-directory-label' },
  },
  {
    what: 'another signed tree is put in its place',
    attack: (app) => app.label(1n, 'signatures', '/opt/other'),
    says: { 'bin/good': 'other-root', 'lib/tool': 'other-root' },
  },
];

test('names that were changed while nobody watched are refused', options, async (t) => {
  const { key, folder } = signingKey(t);
  const apps = new Map<Attack, App>();
  const places = ATTACKS.map((_, index) => `app-${index}`);
  const guard = await guarded(t, {
    policy: ['appraise func=BPRM_CHECK'],
    labelled: places,
    keys: { ...NO_KEYS, keys: [{ bytes: key.certificate ?? Buffer.alloc(0), source: folder }] },
    prepare: async ({ tree }) => {
      for (const [index, attack] of ATTACKS.entries()) {
        const app = new App(join(tree, places[index] ?? ''), key);
        await app.label(1n, attack.files ?? 'signatures');
        await attack.attack(app);
        apps.set(attack, app);
      }
    },
  });
  for (const [attack, app] of apps) {
    await t.test(attack.what, async () => {
      assert.deepEqual(await app.outcomes(guard, Object.keys(attack.says)), attack.says);
      // From what is known, too.
      assert.deepEqual(await app.outcomes(guard, Object.keys(attack.says)), attack.says);
    });
  }
  const [tree] = guard.guard.status.trees;
  assert.deepEqual(
    [tree?.version, tree?.directories, tree?.files, tree?.refused, tree?.bad],
    ['1', 4, Object.keys(PROGRAMS).length, 0, []],
  );
});

test('names that change while the guard watches are refused until the tree is labelled again', options, async (t) => {
  const { key, folder } = signingKey(t);
  const apps: App[] = [];
  const keys = { ...NO_KEYS, keys: [{ bytes: key.certificate ?? Buffer.alloc(0), source: folder }] };
  const guard = await guarded(t, {
    policy: ['appraise func=BPRM_CHECK', 'appraise func=FILE_CHECK mask=MAY_READ fowner=0'],
    labelled: ['app'],
    keys,
    prepare: async ({ tree }) => {
      const app = new App(join(tree, 'app'), key);
      await app.label(1n, 'signatures');
      apps.push(app);
    },
  });
  const [app] = apps;
  assert.ok(app !== undefined);
  const outcomes = (...names: readonly string[]) => app.outcomes(guard, names);
  const read = (name: string): number | null => spawnSync('/bin/cat', [app.at(name)], { stdio: 'ignore' }).status;
  assert.deepEqual(await outcomes('bin/good', 'bin/bad'), { 'bin/good': 0, 'bin/bad': 1 });
  assert.equal(read('bin/good'), 0);

  swap(app.at('bin/good'), app.at('bin/bad'));
  assert.deepEqual(await outcomes('bin/good', 'bin/bad'), {
    'bin/good': 'entry-content-changed',
    'bin/bad': 'entry-content-changed',
  });
  assert.equal(read('bin/good'), 1);

  // The folder bears another name, and not the file: no time of the file's moves.
  assert.deepEqual(await outcomes('lib/tool'), { 'lib/tool': 0 });
  swap(app.at('bin'), app.at('lib'));
  assert.deepEqual(await outcomes('lib/good', 'bin/tool'), {
    'lib/good': 'entry-added',
    'bin/tool': 'entry-added',
  });
  swap(app.at('bin'), app.at('lib'));

  // Somebody makes a file of it: it is written, and what it becomes is not what was labelled.
  assert.equal(spawnSync('/bin/sh', ['-c', 'echo new >"$1"', 'sh', app.at('bin/new')]).status, 0);
  assert.equal(read('bin/new'), 1);

  await app.label(2n, 'signatures');
  const rules = rulesOf('appraise func=BPRM_CHECK');
  const trees = [{ path: app.top, leastVersion: 2n }];
  await guard.guard.reload({ rules, mode: 'enforce', keys, trees });
  assert.deepEqual(await outcomes('bin/good', 'bin/bad', 'lib/tool'), { 'bin/good': 1, 'bin/bad': 0, 'lib/tool': 0 });
  await app.label(1n, 'signatures');
  await guard.guard.reload({ rules, mode: 'enforce', keys, trees });
  assert.deepEqual(await outcomes('bin/good'), { 'bin/good': 'older-tree' });
  await assert.rejects(guard.guard.reload({ rules, mode: 'enforce', keys: NO_KEYS, trees }), /none is given/);
});

function signingKey(t: { after(fn: () => void): void }): { readonly key: SignerSource; readonly folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'assay-directories-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const { certificate, files } = makeSigningKey(folder, 'key', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']);
  return { key: { key: readFileSync(files.key), source: 'key', certificate }, folder };
}
