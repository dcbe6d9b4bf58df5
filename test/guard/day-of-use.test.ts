/**
 * A day of use in minutes: a Debian system whose files bear labels is updated, gets new packages, compiles, logs in, uses git
 * and Node, under a guard that enforces them; nothing is denied that should run, and what should not is.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { encodeImaDigest, IMA_XATTR } from '../../src/ima/index.ts';
import { removeXattr, setXattr } from '../../src/sys/index.ts';
import { guarded, NO_KEYS } from '../fixtures/guarded.ts';
import { makeSigningKey } from '../guest/signing-key.ts';
import { requiresMounts, requiresPath } from '../system/requirements.ts';
import { inTree, unpackDebian } from './debian-tree.ts';

const base = requiresPath('ASSAY_DEBIAN_BASE', 'archive of tools/debian-base');
const skip = base.skip || requiresMounts().skip;

const ASSAY = join(import.meta.dirname, '../../bin/assay');
const assay = (...args: readonly string[]): string =>
  execFileSync(ASSAY, args, { encoding: 'utf8', maxBuffer: 1 << 26 });

/** Programs of this group must be signed. */
const SIGNED_ONLY = 77;

const POLICY = [
  `appraise func=BPRM_CHECK fgroup=${SIGNED_ONLY} appraise_type=imasig`,
  // Everything of root that is executed, read or written; labels follow what is written.
  'appraise fowner=0',
];

const MAKEFILE = 'prog: main.o twice.o\n\tcc -o $@ $^\nmain.o twice.o: twice.h\ncheck: prog\n\t./prog | grep -x 6\n';
const C_FILES: Readonly<Record<string, string>> = {
  Makefile: MAKEFILE,
  'twice.h': 'int twice(int number);\n',
  'twice.c': '#include "twice.h"\nint twice(int number) { return 2 * number; }\n',
  'main.c': '#include <stdio.h>\n#include "twice.h"\nint main(void) { return printf("%d\\n", twice(3)) < 0; }\n',
};
const writeAll = (files: Readonly<Record<string, string>>): string =>
  Object.entries(files)
    .map(([name, text]) => `cat >'${name}' <<'END'\n${text}END\n`)
    .join('');

/** What each part of the day does. */
const DAY: readonly (readonly [what: string, script: string])[] = [
  ['update the lists', 'apt-get update -q'],
  ['upgrade', 'apt-get upgrade -y -q'],
  ['install', 'apt-get install -y -q --no-install-recommends gcc make libc6-dev git nodejs login man-db'],
  ['compile', `mkdir /root/c; cd /root/c\n${writeAll(C_FILES)}make check; touch twice.c; make check; make -B check`],
  [
    'git',
    'cd /root/c; git init -q .; git config user.name A; git config user.email a@example.org; git add -A; git commit -qm one;' +
      'echo >>twice.c; git commit -qam two; git clone -q . /root/d; git gc -q; cd /root/d; git log --stat | grep two',
  ],
  ['Node', 'node -e \'require("fs").writeFileSync("/root/x.js", "console.log(6*7)")\'; node /root/x.js | grep 42'],
  ['a login shell', "su - -c 'id; ls -la; echo $PATH; cd /etc && grep -r root . | wc -l'"],
  [
    'pipes and scripts',
    "for i in 1 2 3; do find /usr/bin -type f | sort | xargs md5sum | awk '{print $1}' | tail -1; done",
  ],
  ['remove', 'apt-get purge -y -q nodejs; apt-get autoremove -y -q; apt-get clean'],
];

/** Digests for all of it, and signatures over /usr, as its packages' maker would make them: they came in a manifest. */
function labelAsShipped(tree: string, folder: string): void {
  const [usr, labels] = [join(tree, 'usr'), join(folder, 'labels.jsonl')];
  assay('label', usr, '--sign', join(folder, 'shipped.pem'), '--cert', join(folder, 'shipped.der'));
  assay('label', 'export', usr, '-o', labels);
  assay('label', 'clear', usr);
  assay('label', tree, '--exclude', 'usr/**');
  assay('label', 'import', labels, usr);
}

test('a day of use without a false denial', { skip, timeout: 1_200_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-day-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const shipped = makeSigningKey(folder, 'shipped', ['rsa:2048']);
  const local = makeSigningKey(folder, 'local', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']);
  const { tree, findings, troubles } = await guarded(t, {
    policy: POLICY,
    megabytes: 3000,
    longestMs: 1_000_000,
    keys: { ...NO_KEYS, keys: [shipped, local].map(({ certificate }) => ({ bytes: certificate, source: 'key' })) },
    prepare: async (mount) => {
      await unpackDebian(process.env.ASSAY_DEBIAN_BASE ?? '', mount.tree);
      labelAsShipped(mount.tree, folder);
    },
  });
  const denials = (): string[] => findings.map(({ fault, path }) => `${fault.cause} ${placeIn(tree, path)}`);
  for (const [what, script] of DAY) {
    const began = performance.now();
    const trouble = await inTree(tree, script).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.deepEqual([trouble, denials(), troubles], [undefined, [], []], what);
    t.diagnostic(`${what}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
  }

  // What has to be signed runs once it is: by the key that a package's labels are made with, and by the local one.
  await inTree(tree, PACKAGE_OF_GREET);
  await assert.rejects(inTree(tree, 'greet'), /Operation not permitted/);
  const greet = join(tree, 'usr/bin/greet');
  signAsPackaged(greet, folder);
  await inTree(tree, 'greet');
  await inTree(tree, `cd /root/c; install -g ${SIGNED_ONLY} prog /usr/local/bin/twice`);
  await assert.rejects(inTree(tree, 'twice'), /Operation not permitted/);
  assay('label', join(tree, 'usr/local/bin/twice'), '--sign', join(folder, 'local.pem'));
  await inTree(tree, 'twice | grep -x 6');

  // What is to be denied.
  await assert.rejects(inTree(tree, 'echo >>/usr/bin/greet'), /Operation not permitted/);
  removeXattr(greet, IMA_XATTR);
  await assert.rejects(inTree(tree, 'greet'), /Operation not permitted/);
  setXattr(join(tree, 'etc/hostname'), IMA_XATTR, encodeImaDigest('sha256', Buffer.alloc(32)));
  await assert.rejects(inTree(tree, 'cat /etc/hostname'), /Operation not permitted/);
  // The shell tries a program again by its other name, /bin.
  assert.deepEqual(
    [...new Set(denials())],
    [
      'IMA-signature-required /usr/bin/greet',
      'IMA-signature-required /usr/local/bin/twice',
      'signed-file-write /usr/bin/greet',
      'missing-hash /usr/bin/greet',
      'invalid-hash /etc/hostname',
    ],
  );
});

/** As in the tree. */
const placeIn = (tree: string, path: Uint8Array): string => Buffer.from(path).toString().replace(tree, '');

const PACKAGE_OF_GREET = [
  'mkdir -p /root/greet/DEBIAN /root/greet/usr/bin; cd /root',
  "printf 'Package: greet\\nVersion: 1\\nArchitecture: all\\nMaintainer: A <a@example.org>\\nDescription: greets\\n' >greet/DEBIAN/control",
  "printf '#!/bin/sh\\necho hello\\n' >greet/usr/bin/greet",
  `chmod 755 greet/usr/bin/greet; chgrp ${SIGNED_ONLY} greet/usr/bin/greet`,
  'dpkg-deb -b greet greet.deb; dpkg -i greet.deb',
].join('\n');

/** The package's maker signs a copy; its label comes in a manifest. */
function signAsPackaged(file: string, folder: string): void {
  const made = join(folder, 'made');
  mkdirSync(made);
  copyFileSync(file, join(made, basename(file)));
  assay('label', made, '--sign', join(folder, 'shipped.pem'), '--cert', join(folder, 'shipped.der'));
  assay('label', 'export', made, '-o', join(folder, 'greet.jsonl'));
  assay('label', 'import', join(folder, 'greet.jsonl'), dirname(file));
}
