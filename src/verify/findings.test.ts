import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { findingsPage } from '../../tools/findings-doc.ts';

test('docs/FINDINGS.md is what the tables say', () => {
  const page = readFileSync(new URL('../../docs/FINDINGS.md', import.meta.url), 'utf8');
  assert.equal(page, findingsPage(), 'run: node tools/findings-doc.ts > docs/FINDINGS.md');
});
