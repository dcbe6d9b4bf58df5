import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { findingsPage } from '../../tools/findings-doc.ts';
import { REFUSALS } from '../evidence/index.ts';
import { FINDINGS } from './findings.ts';

test('docs/FINDINGS.md is what the tables say', () => {
  const page = readFileSync(new URL('../../docs/FINDINGS.md', import.meta.url), 'utf8');
  assert.equal(page, findingsPage(), 'run: node tools/findings-doc.ts > docs/FINDINGS.md');
});

test('every code of the tables is given by some part of src', () => {
  const src = join(import.meta.dirname, '..');
  const tables = ['verify/findings.ts', 'evidence/refusals.ts'];
  const sources = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && !tables.includes(name))
    .map((name) => readFileSync(join(src, name), 'utf8'))
    .join('\n');
  const codes = [...Object.keys(FINDINGS), ...Object.keys(REFUSALS)];
  assert.deepEqual(
    codes.filter((code) => !sources.includes(`'${code}'`)),
    [],
  );
});
