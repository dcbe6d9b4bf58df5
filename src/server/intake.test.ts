import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Intake, SMALL_BODY } from './intake.ts';

const MIB = 1024 * 1024;

test('an announcement costs nothing; what arrives is charged, and given back at the end', () => {
  const intake = new Intake({ maxBody: 64 * MIB, now: () => 0 });
  for (let i = 0; i < 100; i++) assert.equal(intake.refusalOf('a', 64 * MIB), undefined);
  const bodies = ['a', 'b'].map((caller) => intake.open(caller));
  for (const body of bodies) assert.equal(body.take(MIB), undefined);
  assert.equal(intake.inFlight, 2 * MIB);
  for (const body of bodies) {
    body.close();
    body.close();
    assert.equal(body.take(MIB), undefined);
  }
  assert.equal(intake.inFlight, 0);
});

test('a second large body of one caller is refused, announced or not, until the first has ended', () => {
  const intake = new Intake({ maxBody: 64 * MIB, now: () => 0 });
  const first = intake.open('a');
  assert.equal(first.take(SMALL_BODY + 1), undefined);
  assert.equal(intake.refusalOf('a', SMALL_BODY + 1)?.error.code, 'rate.limited');
  assert.equal(intake.refusalOf('a', SMALL_BODY), undefined);
  const second = intake.open('a');
  assert.equal(second.take(SMALL_BODY), undefined);
  assert.equal(second.take(1)?.error.code, 'rate.limited');
  second.close();
  assert.equal(intake.open('b').take(MIB), undefined);
  first.close();
  assert.equal(intake.open('a').take(MIB), undefined);
});

test('large bodies leave the small ones their memory, and a caller has its share of that', () => {
  const intake = new Intake({ maxBody: 64 * MIB, now: () => 0 });
  for (let i = 0; i < 4; i++) assert.equal(intake.open(`large ${i}`).take(64 * MIB), undefined);
  assert.equal(intake.open('one more').take(MIB)?.error.code, 'server.busy');
  for (let i = 0; i < 4; i++) assert.equal(intake.open('small').take(SMALL_BODY), undefined);
  assert.equal(intake.open('small').take(1)?.error.code, 'rate.limited');
  assert.equal(intake.open('another').take(SMALL_BODY), undefined);
});

test('what was sent stays charged to its sender, who is told how long to wait', () => {
  let now = 0;
  const intake = new Intake({ maxBody: 2 * MIB, now: () => now });
  for (let i = 0; i < 2; i++) {
    const body = intake.open('a');
    assert.equal(body.take(2 * MIB), undefined);
    body.close();
  }
  const refused = intake.refusalOf('a', 2 * MIB);
  assert.equal(refused?.error.code, 'rate.limited');
  assert.equal(refused.waitMs, 1000);
  assert.equal(intake.open('a').take(1)?.error.code, 'rate.limited');
  assert.equal(intake.refusalOf('b', 2 * MIB), undefined);
  now = 1000;
  assert.equal(intake.refusalOf('a', 2 * MIB), undefined);
});
