import assert from 'node:assert/strict';
import { test } from 'node:test';
import { corpusLogs, needsCorpus } from '../../test/fixtures/boot-logs.ts';
import { decodeLog } from './decode/decode-event.ts';
import type { DecodedEvent, DecodedPayload } from './decode/decoded-event.ts';
import { parseBootLog } from './parse.ts';
import { tellBoot } from './story.ts';

const event = (index: number, pcr: number, payload: DecodedPayload): DecodedEvent => ({
  index,
  pcr,
  type: 0,
  typeName: 'EV_X',
  vouched: 'digest',
  payload,
});
const image = (text: string, file?: string): DecodedPayload => ({
  kind: 'image-load',
  address: 0n,
  length: 9n,
  linkTimeAddress: 0n,
  devicePath: { text, file, partition: undefined, ended: true },
});

test('PCR 4 is told apart: boot manager, loader, and the kernel by its name or the path that stands for it', () => {
  const story = tellBoot([
    event(1, 4, { kind: 'action', action: 'calling-boot-option', text: 'Calling EFI Application from Boot Option' }),
    event(2, 4, image('File(\\EFI\\debian\\shimx64.efi)', '\\EFI\\debian\\shimx64.efi')),
    event(3, 4, image('File(\\vmlinuz)', '\\vmlinuz')),
    event(4, 4, image('VenMedia(55c5d1f8-04cd-46b5-8a20-e56cbb3052d0)')),
    event(5, 5, { kind: 'action', action: 'exit-boot-services', text: 'Exit Boot Services Invocation' }),
  ]);
  assert.deepEqual(
    story.map(({ stage, lines }) => [stage, lines.map(({ index }) => index)]),
    [
      ['boot-manager', [1]],
      ['loader', [2]],
      ['kernel', [3, 4, 5]],
    ],
  );
  assert.equal(story[1]?.lines[0]?.text, 'started \\EFI\\debian\\shimx64.efi');
});

test('every event of the corpus is told once', needsCorpus, () => {
  for (const { name, bytes } of corpusLogs()) {
    const events = decodeLog(parseBootLog(bytes));
    const told = tellBoot(events).flatMap(({ lines }) => lines.map(({ index }) => index));
    assert.deepEqual(
      told.toSorted((a, b) => a - b),
      events.map(({ index }) => index),
      name,
    );
  }
});
