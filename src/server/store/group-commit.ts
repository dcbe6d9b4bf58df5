/**
 * Group commit: writes that arrive within a short window share one transaction and so one fsync, and each is answered
 * only after the commit. One that fails takes nothing of the others with it: the group is rolled back and run again with
 * a savepoint for each. Failures are rare (what can be refused is refused before), savepoints for all would not be.
 */
import { type Kysely, sql, type Transaction } from 'kysely';
import { ServerError } from '../error.ts';
import type { Schema } from './schema.ts';

/**
 * One write. It must not wait for anything but the transaction that it is given (others stand behind it), and changes
 * nothing else: it may be run twice.
 */
export type Work<T> = (trx: Transaction<Schema>) => Promise<T>;

interface Waiting {
  /** Runs the work; gives what to do once the transaction is durable. */
  readonly run: (trx: Transaction<Schema>) => Promise<Settle>;
  readonly reject: (error: unknown) => void;
}

type Settle = () => void;

export interface GroupCommitOptions {
  /** How long the first write of a group waits for company, in ms. */
  readonly windowMs: number;
  /** A group of this size is written at once. */
  readonly groupSize: number;
  /** Writes beyond this are refused with `server.busy`. */
  readonly queueLimit: number;
}

export const GROUP_COMMIT: GroupCommitOptions = { windowMs: 5, groupSize: 128, queueLimit: 4096 };

export class GroupCommit {
  readonly #db: Kysely<Schema>;
  readonly #options: GroupCommitOptions;
  #queue: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #closed = false;

  /** @param db over a connection that nothing else writes through */
  constructor(db: Kysely<Schema>, options: GroupCommitOptions = GROUP_COMMIT) {
    this.#db = db;
    this.#options = options;
  }

  /** Resolves after the commit that made `work` durable; rejects with what it threw, or with why the commit failed. */
  write<T>(work: Work<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new ServerError('server.stopping', 'the server is stopping'));
    if (this.#queue.length >= this.#options.queueLimit) {
      return Promise.reject(
        new ServerError('server.busy', 'too many writes wait', { advice: 'try again in a moment' }),
      );
    }
    return new Promise<T>((resolve, reject) => {
      const run = async (trx: Transaction<Schema>): Promise<Settle> => {
        const value = await work(trx);
        return () => resolve(value);
      };
      this.#queue.push({ run, reject });
      this.#schedule();
    });
  }

  /** Writes what waits, then refuses further writes. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#queue.length > 0 || this.#writing !== undefined) await this.#flush();
  }

  #schedule(): void {
    if (this.#writing !== undefined) return; // the running group looks at the queue when it is done
    if (this.#queue.length >= this.#options.groupSize) void this.#flush();
    else this.#timer ??= setTimeout(() => void this.#flush(), this.#options.windowMs);
  }

  #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing ??= this.#writeGroup(this.#queue.splice(0, this.#options.groupSize)).finally(() => {
      this.#writing = undefined;
      if (this.#queue.length > 0) this.#schedule();
    });
    return this.#writing;
  }

  async #writeGroup(group: readonly Waiting[]): Promise<void> {
    try {
      await this.#inOneTransaction(group, ({ run }, trx) => run(trx));
    } catch (error) {
      const [only] = group;
      if (group.length === 1) only?.reject(error);
      else await this.#writeEachApart(group);
    }
  }

  async #writeEachApart(group: readonly Waiting[]): Promise<void> {
    try {
      await this.#inOneTransaction(group, ({ run, reject }, trx) =>
        inSavepoint(trx, run).catch((error: unknown) => () => reject(error)),
      );
    } catch (error) {
      for (const { reject } of group) reject(error); // the transaction itself failed: a full disk, say
    }
  }

  async #inOneTransaction(
    group: readonly Waiting[],
    run: (waiting: Waiting, trx: Transaction<Schema>) => Promise<Settle>,
  ): Promise<void> {
    const settles = await this.#db.transaction().execute(async (trx) => {
      const done: Settle[] = [];
      for (const waiting of group) done.push(await run(waiting, trx));
      return done;
    });
    for (const settle of settles) settle();
  }
}

const SAVEPOINT = sql`savepoint work`;
const RELEASE = sql`release work`;
const ROLL_BACK = sql`rollback to work`;

async function inSavepoint<T>(trx: Transaction<Schema>, work: Work<T>): Promise<T> {
  await SAVEPOINT.execute(trx);
  try {
    return await work(trx);
  } catch (error) {
    await ROLL_BACK.execute(trx);
    throw error;
  } finally {
    await RELEASE.execute(trx);
  }
}
