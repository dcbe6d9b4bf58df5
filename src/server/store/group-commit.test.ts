import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ServerError } from '../error.ts';
import { insertEvent } from './events.ts';
import { openStore, type Store, type StoreOptions } from './store.ts';

async function inStore(options: StoreOptions, use: (store: Store, folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'assay-store-test-'));
  const store = await openStore(folder, options);
  try {
    await use(store, folder);
  } finally {
    await store.close();
    rmSync(folder, { recursive: true });
  }
}

const event = (hostId: string) => ({ at: 1, kind: 'verdict', hostId, data: '{}' }) as const;
const hostsOf = async (store: Store) =>
  (await store.read.selectFrom('events').select('host_id').execute()).map((row) => row.host_id);

test('a write that fails takes nothing of its group with it, and leaves nothing of itself', () =>
  inStore({ commit: { windowMs: 20 } }, async (store) => {
    const write = (name: string, fails: boolean) =>
      store.write(async (trx) => {
        await insertEvent(trx, event(name));
        if (fails) throw new Error(`${name} fails`);
        return name;
      });
    const settled = await Promise.allSettled([write('a', false), write('b', true), write('c', false)]);
    assert.deepEqual(
      settled.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.deepEqual(await hostsOf(store), ['a', 'c']);
  }));

test('readers see a write only once it is committed', () =>
  inStore({ commit: { windowMs: 20 } }, async (store) => {
    let during: string[] | undefined;
    await store.write(async (trx) => {
      await insertEvent(trx, event('a'));
      during = await hostsOf(store);
    });
    assert.deepEqual(during, []);
    assert.deepEqual(await hostsOf(store), ['a']);
  }));

test('a full queue refuses, and writes are refused once the store closes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-store-test-'));
  const store = await openStore(folder, { commit: { windowMs: 50, queueLimit: 2 } });
  const write = () => store.write((trx) => insertEvent(trx, event('a')));
  const waiting = [write(), write()];
  await assert.rejects(write(), (error: unknown) => error instanceof ServerError && error.code === 'server.busy');
  await store.close(); // writes what waits
  await Promise.all(waiting);
  await assert.rejects(write(), (error: unknown) => error instanceof ServerError && error.code === 'server.stopping');
  rmSync(folder, { recursive: true });
});

test('one server at a time uses a folder', () =>
  inStore({}, async (_store, folder) => {
    await assert.rejects(
      openStore(folder),
      (error: unknown) => error instanceof ServerError && error.code === 'store.in-use',
    );
  }));
