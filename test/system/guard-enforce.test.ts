/** The guard on an image of our own: what runs, what is refused, and with which words. */
import assert from 'node:assert/strict';
import { appendFileSync, chmodSync, copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { IMA_XATTR } from '../../src/ima/index.ts';
import { removeXattr } from '../../src/sys/index.ts';
import { guarded, label, run } from '../fixtures/guarded.ts';
import { requiresMounts } from './requirements.ts';

const options = { ...requiresMounts(), timeout: 100_000 };
const EXECUTED = ['appraise func=BPRM_CHECK'];

test(
  'a labelled program runs, one without a label does not, nor one that was changed or whose label was taken',
  options,
  async (t) => {
    const { tree, program, findings, records } = await guarded(t, { policy: EXECUTED });
    const good = program('good');
    for (let round = 0; round < 3; round++) assert.equal(run(good), 0);
    const bare = join(tree, 'bare');
    copyFileSync('/bin/true', bare);
    assert.equal(run(bare), 'EPERM');
    label(bare);
    assert.equal(run(bare), 0);
    appendFileSync(good, 'x');
    assert.equal(run(good), 'EPERM');
    label(good);
    assert.equal(run(good), 0);
    await delay(50); // its label is settled, and what was found is kept
    assert.equal(run(good), 0);
    removeXattr(good, IMA_XATTR);
    assert.equal(run(good), 'EPERM');
    await delay(50);
    assert.deepEqual(
      findings.map(({ fault, path, isDenied }) => [fault.cause, Buffer.from(path).toString(), isDenied]),
      [
        ['missing-hash', bare, true],
        ['invalid-hash', good, true],
        ['missing-hash', good, true],
      ],
    );
    assert.match(
      records[0] ?? '',
      new RegExp(
        `^pid=\\d+ uid=0 auid=\\d+ ses=\\d+ op=appraise_data cause=missing-hash comm="[^"]+" name="${bare}" dev="loop\\d+" ino=\\d+ res=0 errno=0$`,
      ),
    );
  },
);

test('a script and its interpreter are both asked about', options, async (t) => {
  const { program, script, tree } = await guarded(t, { policy: EXECUTED });
  const interpreter = program('interpreter', '/bin/sh');
  const text = `#!${interpreter}\nexit 7\n`;
  const good = script('good', text);
  assert.equal(run(good), 7);
  const bare = join(tree, 'bare');
  copyFileSync(good, bare);
  chmodSync(bare, 0o755);
  assert.equal(run(bare), 'EPERM');
  removeXattr(interpreter, IMA_XATTR);
  assert.equal(run(good), 'EPERM');
});
