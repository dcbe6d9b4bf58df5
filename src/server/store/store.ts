/** Opens the store: one SQLite file in the data folder, one connection that writes and one that reads. */
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Kysely } from 'kysely';
import { privateFolder } from '../../sys/index.ts';
import { ServerError } from '../error.ts';
import { GROUP_COMMIT, GroupCommit, type GroupCommitOptions, type Work } from './group-commit.ts';
import { migrate } from './migrations.ts';
import type { Schema } from './schema.ts';
import { sqliteDialect } from './sqlite-dialect.ts';

/** Either end of a query: the reading connection or a write's transaction. */
export type Db = Kysely<Schema>;

export interface Store {
  /** Sees what is committed, and only that. */
  readonly read: Db;
  /** Runs `work` in the next group's transaction; resolves when it is durable. */
  write<T>(work: Work<T>): Promise<T>;
  /** Writes what waits and closes the file. */
  close(): Promise<void>;
}

export interface StoreOptions {
  readonly commit?: Partial<GroupCommitOptions>;
  /** `off` is for the benchmark's baseline: a power cut may then lose acknowledged results. */
  readonly fsync?: 'full' | 'off';
}

/**
 * Opens or makes `<folder>/assay.db`.
 * @throws {ServerError} `store.in-use` where another server holds the folder, `store.newer` as {@link migrate} says
 */
export async function openStore(folder: string, options: StoreOptions = {}): Promise<Store> {
  await privateFolder(folder);
  const lock = lockFolder(folder);
  const path = join(folder, 'assay.db');
  const writing = new DatabaseSync(path, { enableForeignKeyConstraints: true });
  chmodSync(path, 0o600);
  // WAL readers see only what is committed; FULL syncs the WAL at each commit (sqlite.org/pragma.html#pragma_synchronous).
  // A checkpoint writes each page once, however often it changed: with 8,000 pages (32 MB) that is seldom.
  writing.exec('pragma journal_mode = wal; pragma wal_autocheckpoint = 8000; pragma cache_size = -32000');
  writing.exec(`pragma synchronous = ${options.fsync === 'off' ? 'off' : 'full'}`);
  const write = new Kysely<Schema>({ dialect: sqliteDialect(writing) });
  await migrate(write, Date.now());
  const read = new Kysely<Schema>({ dialect: sqliteDialect(new DatabaseSync(path, { readOnly: true })) });
  const group = new GroupCommit(write, { ...GROUP_COMMIT, ...options.commit });
  return {
    read,
    write: (work) => group.write(work),
    async close() {
      await group.close();
      await read.destroy();
      await write.destroy();
      lock.close();
    },
  };
}

/** The kernel drops an SQLite lock with the process that holds it, kill -9 included; a pid file would stay behind. */
function lockFolder(folder: string): DatabaseSync {
  const lock = new DatabaseSync(join(folder, 'server.lock'));
  try {
    lock.exec('begin exclusive');
  } catch (cause) {
    lock.close();
    throw new ServerError('store.in-use', `another Assay server uses ${folder}`, {
      advice: 'stop it, or give this one another data folder',
      cause,
    });
  }
  return lock;
}
