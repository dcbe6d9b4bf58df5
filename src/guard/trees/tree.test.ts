import assert from 'node:assert/strict';
import { test } from 'node:test';
import { directoryCauses } from '../../appraise/index.ts';
import { auditCause } from '../../ima/audit/index.ts';
import { checkTrees, placesOf } from './tree.ts';

test('whoever reads the audit log is told what each fault of a directory means', () => {
  for (const cause of directoryCauses()) assert.ok(auditCause('appraise_data', cause), cause);
});

test('equal contents are one, and each fault keeps its words', () => {
  const digest = Buffer.alloc(32, 1);
  const fault = { cause: 'entry-added', expected: 'nothing', found: 'file' } as const;
  const file = (name: string) => ({ path: Buffer.from(name) });
  const { places, status } = placesOf('/app', '/app', {
    algorithm: 'sha256',
    version: 7n,
    devices: ['8:1'],
    directories: 1,
    files: [
      { ...file('a'), digest, isProven: true },
      { ...file('b'), digest, isProven: true },
      { ...file('c'), digest, isProven: false },
      { ...file('d'), fault },
    ],
    bad: [{ path: Buffer.from('d'), ...fault }],
    problems: [],
  });
  assert.deepEqual([...places.paths.values()], [0, 0, 1, -1]);
  assert.deepEqual(places.faults, [{ op: 'appraise_data', ...fault }]);
  assert.deepEqual(places.devices, [8 * 2 ** 20 + 1]);
  assert.deepEqual([status.version, status.files, status.refused, status.bad.length], ['7', 4, 1, 1]);
});

test('directory labels are not judged without keys: whoever changes a tree could label it', () => {
  const keys = { keys: [], evmKeys: [], blacklist: [] };
  assert.throws(() => checkTrees([{ path: '/app' }], keys), /none is given/);
  const evm = { ...keys, evmHmacKey: Buffer.alloc(32), evmXattrs: ['security.assay.dir'] };
  assert.doesNotThrow(() => checkTrees([{ path: '/app' }], evm));
});
