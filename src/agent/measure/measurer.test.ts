import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digest } from '../../bytes/index.ts';
import { FileMeasurer } from './measurer.ts';

test('what cannot be read is given out once, under a digest of no content', () => {
  const measurer = new FileMeasurer();
  const { file, isNew } = measurer.giveUnmeasured('/mnt/secret', 'unreadable');
  assert.equal(isNew, true);
  assert.equal(Buffer.from(file.path).toString(), '/mnt/secret');
  assert.deepEqual(file.sha256, digest('sha256', Buffer.from('assay unmeasured\x00unreadable\x000')));
  assert.equal(file.unmeasured, 'unreadable');
  assert.equal(measurer.giveUnmeasured('/mnt/secret', 'unreadable').isNew, false);
});

test('each gap has an entry of its own', () => {
  const measurer = new FileMeasurer();
  assert.equal(measurer.giveUnmeasured('gap:x', 'gap', 1n).isNew, true);
  assert.equal(measurer.giveUnmeasured('gap:x', 'gap', 2n).isNew, true);
});
