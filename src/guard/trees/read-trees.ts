/** Labelled trees read beside everything else that goes on. */
import { Worker } from 'node:worker_threads';
import type { JudgeKeys } from '../../appraise/index.ts';
import { GuardError } from '../error.ts';
import type { TreesStart } from './thread.ts';
import { checkTrees, type GuardedTree, type ReadTree } from './tree.ts';

const THREAD = new URL(import.meta.url.endsWith('.ts') ? './thread.ts' : './thread.js', import.meta.url);

/**
 * What the labels of the trees' directories vouch for.
 * @throws {GuardError} `guard.option` without keys, `guard.tree` for a tree that is none
 */
export async function readTrees(trees: readonly GuardedTree[], keys: JudgeKeys): Promise<readonly ReadTree[]> {
  checkTrees(trees, keys);
  if (trees.length === 0) return [];
  const workerData: TreesStart = { trees, keys };
  const worker = new Worker(THREAD, { workerData });
  try {
    return await new Promise<readonly ReadTree[]>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GuardError('guard.tree', `directory labels cannot be read: ${reason}`, { cause });
  } finally {
    void worker.terminate();
  }
}
