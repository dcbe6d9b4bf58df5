/**
 * The guard denies what a kernel denies, cause for cause: the files that `guest-labels.test.ts` puts before Debian's kernel
 * (which answers each as the list says), under the same rules.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { JudgeKeys } from '../../src/appraise/index.ts';
import { type Guarded, guarded, NO_KEYS, rulesOf, run } from '../fixtures/guarded.ts';
import { HMAC_KEY } from '../guest/appraisal-steps.ts';
import { contentFiles, metadataFiles, type Signers, signedOnlyFiles } from '../guest/label-cases.ts';
import { fileSystemUuid, type LabelledFile, placeFiles, placeOf } from '../guest/labelled-files.ts';
import { makeSigningKey, type SigningKey } from '../guest/signing-key.ts';
import { requires, requiresMounts } from './requirements.ts';

const skip = requires('openssl').skip || requiresMounts().skip;

/** Files of this owner must be signed. */
const SIGNED_ONLY = 1001;

const keyFile = ({ certificate }: SigningKey): JudgeKeys['keys'][number] => ({ bytes: certificate, source: 'key' });

/** Runs each, and gives what came of it in the words of the list: a denial by the first record about the file. */
async function answers(guard: Guarded, files: readonly LabelledFile[]): Promise<Map<string, string>> {
  const ran = files.map((file) => {
    const place = join(guard.tree, placeOf(file));
    return { name: file[0], inode: statSync(place, { bigint: true }).ino, outcome: run(place) };
  });
  await delay(100);
  return new Map(
    ran.map(({ name, inode, outcome }) => {
      const found = guard.findings.find((finding) => finding.inode === inode);
      const says = found === undefined ? 'pass' : `${found.fault.op} ${found.fault.cause}`;
      // Where the kernel says EACCES, fanotify says EPERM.
      const isAsFound = outcome === (found === undefined ? 0 : 'EPERM');
      return [name, isAsFound ? says : `${says}, and yet ${outcome}`];
    }),
  );
}

const expected = (files: readonly LabelledFile[]): Map<string, string> =>
  new Map(files.map(([name, says]) => [name, says]));

test('the guard denies what the kernel of a guest denies, cause for cause', { skip, timeout: 100_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-labels-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [ima, evm, stranger] = ['ima', 'evm', 'stranger'].map((name) => makeSigningKey(folder, name, ['rsa:2048']));
  assert.ok(ima !== undefined && evm !== undefined && stranger !== undefined);
  const signers: Signers = { ima: ima.signer, evm: evm.signer, stranger: stranger.signer, hmacKey: HMAC_KEY };
  const contents = contentFiles(signers);
  const metadata = [...metadataFiles(signers), ...signedOnlyFiles(signers, SIGNED_ONLY)];

  let disk = '';
  const keys: JudgeKeys = { ...NO_KEYS, keys: [keyFile(ima)] };
  const guard = await guarded(t, {
    policy: ['appraise func=BPRM_CHECK', 'appraise func=FILE_CHECK'],
    keys,
    prepare: ({ tree }) => {
      mkdirSync(join(tree, 'srv'));
      placeFiles(tree, [...contents, ...metadata]);
      disk = fileSystemUuid(tree);
    },
  });
  assert.deepEqual(await answers(guard, contents), expected(contents));

  // As the guest: EVM on, and a policy that tells owners apart.
  await guard.guard.reload({
    rules: rulesOf(`appraise fsuuid=${disk} fowner=${SIGNED_ONLY} appraise_type=imasig`, `appraise fsuuid=${disk}`),
    mode: 'enforce',
    keys: { ...keys, evmKeys: [keyFile(evm)], evmHmacKey: HMAC_KEY },
  });
  assert.deepEqual(await answers(guard, metadata), expected(metadata));
});
