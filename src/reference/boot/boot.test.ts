import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BootEvent, BootLog } from '../../boot/index.ts';
import { digest } from '../../bytes/index.ts';
import { judgeComponents, mergeBoots } from './index.ts';

const EV_EFI_BOOT_SERVICES_APPLICATION = 0x80000003;
const EV_EVENT_TAG = 6;
const INITRD = Uint8Array.of(0xec, 0x22, 0x3b, 0x8f, 0, 0, 0, 0);
const ALL = new Set([0, 4, 9]);

function event(index: number, pcr: number, type: number, content: string, data: Uint8Array): BootEvent {
  const value = digest('sha256', Buffer.from(content));
  return { index, offset: 0, pcr, type, digests: [{ tpmAlg: 0xb, algorithm: 'sha256', value }], data };
}

function boot(kernel: string, initrd: string): BootLog {
  const events = [
    event(0, 0, 8, 'firmware', new Uint8Array(0)),
    event(1, 4, EV_EFI_BOOT_SERVICES_APPLICATION, kernel, new Uint8Array(0)),
    event(2, 9, EV_EVENT_TAG, initrd, INITRD),
  ];
  return { format: 'agile', specId: undefined, events, padding: 0 };
}

test('an observed boot is explained; a changed part is named with its event', () => {
  const reference = mergeBoots([boot('k1', 'i1')]);
  assert.deepEqual(judgeComponents(reference, boot('k1', 'i1'), 'sha256', ALL), []);
  assert.deepEqual(judgeComponents(reference, boot('k1', 'evil'), 'sha256', ALL), [
    { kind: 'unknown-variant', component: 'initrd (PCR 9)', pcr: 9, event: 2 },
  ]);
  assert.deepEqual(judgeComponents(reference, boot('k1', 'evil'), 'sha256', new Set([0, 4])), []);
});

test('a kernel goes only with the initrds that it was seen with', () => {
  const reference = mergeBoots([boot('k1', 'i1'), boot('k2', 'i2')]);
  assert.deepEqual(judgeComponents(reference, boot('k2', 'i2'), 'sha256', ALL), []);
  const [found, ...more] = judgeComponents(reference, boot('k2', 'i1'), 'sha256', ALL);
  assert.equal(more.length, 0);
  assert.equal(found?.kind, 'not-together');
});

test('a missing part, an added part and a bank without digests are differences', () => {
  const reference = mergeBoots([boot('k1', 'i1')]);
  const whole = boot('k1', 'i1');
  const cut = { ...whole, events: whole.events.slice(0, 2) };
  assert.equal(judgeComponents(reference, cut, 'sha256', ALL)[0]?.kind, 'unknown-variant');
  assert.equal(judgeComponents(mergeBoots([cut]), whole, 'sha256', ALL)[0]?.kind, 'unknown-component');
  assert.equal(judgeComponents(reference, whole, 'sha384', ALL).length, 3);
});

test('each boot of a fleet is explained by the fleet’s reference, and no other pair of kernel and initrd', () => {
  const pair = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('x', 'y', 'z'));
  fc.assert(
    fc.property(fc.array(pair, { minLength: 1, maxLength: 6 }), pair, (fleet, [kernel, initrd]) => {
      const reference = mergeBoots(fleet.map(([k, i]) => boot(k, i)));
      const known = fleet.some(([k, i]) => k === kernel && i === initrd);
      assert.equal(judgeComponents(reference, boot(kernel, initrd), 'sha256', ALL).length === 0, known);
    }),
    { numRuns: 200 },
  );
});
