import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { ServerError } from '../error.ts';
import type { IncomingBody } from '../intake.ts';
import { MeteredBody } from './metered-body.ts';

const WELCOME: IncomingBody = { take: () => undefined, close: () => undefined };
const KIB = 1024;

/** A body whose chunks are read at once, and a clock that the test moves. */
function flowing(t: TestContext): { body: MeteredBody; window: () => void } {
  t.mock.timers.enable({ apis: ['setInterval', 'setImmediate'] });
  const body = new MeteredBody(WELCOME, () => undefined);
  body.resume();
  return {
    body,
    window: () => {
      t.mock.timers.tick(5000);
      t.mock.timers.tick(0);
    },
  };
}

const settled = () => new Promise<void>((resolve) => process.nextTick(resolve));

test('a body that brings 80 KiB in each window goes on; one that does not is cut', async (t) => {
  const { body, window } = flowing(t);
  for (let i = 0; i < 20; i++) {
    body.write(Buffer.alloc(80 * KIB));
    window();
    await settled();
    assert.equal(body.destroyed, false);
  }
  const failed = once(body, 'error');
  body.write(Buffer.alloc(80 * KIB - 1));
  window();
  const [error] = await failed;
  assert.ok(error instanceof ServerError);
  assert.deepEqual([error.code, error.statusCode], ['request.too-slow', 408]);
});

test('a body that has ended is not looked at any more', async (t) => {
  const { body, window } = flowing(t);
  const ended = once(body, 'end');
  body.end(Buffer.alloc(10));
  await ended;
  window();
  assert.equal(body.errored, null);
});

test('a chunk that is not welcome ends the body, and the time to wait is told before', async () => {
  const error = new ServerError('rate.limited', 'too much');
  const told: number[] = [];
  const body = new MeteredBody({ ...WELCOME, take: () => ({ error, waitMs: 7 }) }, ({ waitMs }) => told.push(waitMs));
  body.resume();
  body.write('x');
  await assert.rejects(once(body, 'end'), (thrown: unknown) => thrown === error && told[0] === 7);
});

test('an error after the parser has stopped listening ends nothing but the body', async () => {
  const body = new MeteredBody(WELCOME, () => undefined);
  body.destroy(new Error('late'));
  await new Promise<void>((resolve) => body.once('close', () => resolve()));
  assert.equal(body.errored?.message, 'late');
});
