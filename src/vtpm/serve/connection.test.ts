import assert from 'node:assert/strict';
import { Duplex, Readable } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { ConnectionReader, Disconnected } from './connection.ts';

/** A peer that sends as fast as it is read, in pieces of one size. */
class Sender extends Readable {
  pieces = 0;
  readonly #piece: Buffer;
  readonly #limit: number;

  constructor(pieceSize: number, limit: number) {
    super();
    this.#piece = Buffer.alloc(pieceSize, 7);
    this.#limit = limit;
  }

  override _read(): void {
    setImmediate(() => this.push(this.pieces++ < this.#limit ? this.#piece : null));
  }
}

test('what nobody asked for is not taken from the peer', async () => {
  const sender = new Sender(1024, 10_000);
  const reader = new ConnectionReader(sender);
  await reader.read(10);
  for (let i = 0; i < 500; i++) await turn();
  assert.ok(sender.pieces <= 100, `${sender.pieces} KiB were taken`);
  sender.destroy();
});

test('bytes come in order, however they were cut', async () => {
  const bytes = Buffer.from(Array.from({ length: 5000 }, (_, i) => i & 0xff));
  for (const size of [1, 3, 4096, 5000]) {
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      bytes.subarray(i * size, (i + 1) * size),
    );
    const reader = new ConnectionReader(Readable.from(pieces, { objectMode: false }));
    const read = [await reader.read(10), await reader.read(0), await reader.read(4096), await reader.read(894)];
    assert.deepEqual(read, [bytes.subarray(0, 10), Buffer.alloc(0), bytes.subarray(10, 4106), bytes.subarray(4106)]);
    await assert.rejects(reader.read(1), Disconnected);
  }
});

test('a peer that goes in the middle of a message, or breaks, is a disconnection', async () => {
  const reader = new ConnectionReader(Readable.from([Buffer.alloc(5)], { objectMode: false }));
  await assert.rejects(reader.read(10), Disconnected);
  await assert.rejects(reader.read(1), Disconnected);

  const breaking = new Duplex({ read: () => undefined });
  const waiting = new ConnectionReader(breaking).read(1);
  breaking.destroy(new Error('ECONNRESET'));
  await assert.rejects(waiting, Disconnected);
});

test('of a message whose end is not known, what came with it is taken', async () => {
  const stream = new Readable({ read: () => undefined });
  const reader = new ConnectionReader(stream);
  stream.push(Buffer.of(1, 2, 3));
  assert.deepEqual(await reader.read(1), Buffer.of(1));
  assert.deepEqual(await reader.readSome(10), Buffer.of(2, 3));
  assert.deepEqual(await reader.readSome(10), Buffer.alloc(0));
});

test('what does not come in time is not waited for, and what did is given', async () => {
  const stream = new Readable({ read: () => undefined });
  const reader = new ConnectionReader(stream);
  stream.push(Buffer.of(1, 2));
  assert.deepEqual(await reader.readWithin(4, 20), Buffer.of(1, 2));
  setImmediate(() => stream.push(Buffer.of(3, 4, 5, 6, 7)));
  assert.deepEqual(await reader.readWithin(4, 10_000), Buffer.of(3, 4, 5, 6));
  assert.deepEqual(await reader.readWithin(0, 10_000), Buffer.alloc(0));
  stream.push(null);
  assert.deepEqual(await reader.read(1), Buffer.of(7));
  await assert.rejects(reader.readWithin(1, 10_000), Disconnected);
});
