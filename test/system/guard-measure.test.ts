/**
 * The guard measures what a kernel with IMA measures: the same accesses to the same files, under the same policy, give the
 * same entries of the list, apart from their order.
 */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { chownSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { toHex } from '../../src/bytes/index.ts';
import type { Measurement } from '../../src/guard/index.ts';
import { decodePath, type MeasurementEntry, parseMeasurementList } from '../../src/ima/index.ts';
import { guarded, NO_KEYS, rulesOf } from '../fixtures/guarded.ts';
import { loadPolicy } from '../guest/appraisal-steps.ts';
import { makeGuest } from '../guest/guest.ts';
import { fileSystemUuid } from '../guest/labelled-files.ts';
import { keepList } from '../guest/lists.ts';
import { ACCESSES, accessPolicy, accessTree, EXEMPT, EXEMPT_FILE } from '../guest/measured-accesses.ts';
import { run } from '../guest/script.ts';
import { layOut } from '../guest/tree.ts';
import { requires, requiresMounts, requiresPath } from './requirements.ts';

const machine = requires('swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox');
const kernel = requiresPath('ASSAY_GUEST_KERNEL', 'Debian package linux-image-cloud-amd64');
const skip = machine.skip || kernel.skip || requiresMounts().skip;

/** A hard link moves ctime, so that the guard reads the file again, and lists it by the name that it is opened by. */
const MORE_THAN_KERNEL = ['sha256:bd67291b625c45027d7f5a9d9724e3b6c0e958c419758c50ce693e2117ea1f33 /srv/bin/link'];
/** The kernel counts readers: it knows that somebody still reads what another one opens for writing. */
const LESS_THAN_KERNEL = ['violation /srv/data/tomtou'];

/** One entry in words: `sha256:… /srv/data/plain`, or `violation /srv/data/plain`. */
const inWords = (path: string, digest: string, isViolation: boolean): string =>
  `${isViolation ? 'violation' : digest} ${path}`;

function kernelEntry({ fields, violation }: MeasurementEntry): string {
  const { algorithm = '', value = Buffer.alloc(0) } = fields?.digest ?? {};
  return inWords(fields?.path ?? '', `${algorithm}:${toHex(value)}`, violation);
}

/** d-ng | n-ng | sig */
function guardEntry(
  { fields: [digest = Buffer.alloc(0), name = Buffer.alloc(0)], isViolation }: Measurement,
  root: string,
): string {
  const end = digest.indexOf(0);
  const path = decodePath(name.subarray(0, -1)).replace(root, '');
  return inWords(
    path,
    `${Buffer.from(digest.subarray(0, end)).toString()}${toHex(digest.subarray(end + 1))}`,
    isViolation,
  );
}

async function measuredByKernel(): Promise<string[]> {
  await using guest = await makeGuest({ kernel: 'debian', tree: accessTree(), banks: ['sha256'] });
  const uuid = await guest.onDisk(fileSystemUuid);
  const boot = await guest.boot({
    commandLine: ['ima_hash=sha256'],
    files: { policy: `${accessPolicy(uuid).join('\n')}\n` },
    script: [run('chown', `${EXEMPT}`, EXEMPT_FILE), loadPolicy('policy'), run(ACCESSES), keepList('list')],
  });
  const [, ...entries] = parseMeasurementList(boot.file('list'));
  return entries.map(kernelEntry);
}

test('the guard measures what a kernel measures', { skip, timeout: 300_000 }, async (t) => {
  const taken: Measurement[] = [];
  const { tree, guard, troubles } = await guarded(t, {
    policy: ['dont_measure'],
    sink: {
      add: (measurements) => {
        taken.push(...measurements);
        return Promise.resolve();
      },
    },
    prepare: (mount) => {
      layOut(accessTree(), mount.tree);
      execFileSync('mknod', ['-m', '666', join(mount.tree, 'dev/null'), 'c', '1', '3']);
      chownSync(join(mount.tree, EXEMPT_FILE), EXEMPT, 0);
    },
  });
  await guard.reload({
    rules: rulesOf(...accessPolicy(fileSystemUuid(tree))),
    mode: 'enforce',
    keys: NO_KEYS,
    template: 'ima-sig',
  });
  // Not synchronously: this thread takes the measurements.
  await promisify(execFile)('chroot', [tree, '/bin/sh', ACCESSES]);
  await guard.stop();
  assert.deepEqual(troubles, []);
  // A kernel keeps no entry twice, nor does who writes the guard's list.
  const ours = new Set(taken.map((measurement) => guardEntry(measurement, tree)));
  const theirs = new Set(await measuredByKernel());
  const without = (one: Set<string>, other: Set<string>) => [...one].filter((entry) => !other.has(entry));
  assert.deepEqual(without(ours, theirs), MORE_THAN_KERNEL);
  assert.deepEqual(without(theirs, ours), LESS_THAN_KERNEL);
});
