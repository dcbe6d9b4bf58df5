/** A thread that reads labelled trees, and ends: each file's content is hashed, which takes as long as the disk does. */
import { realpathSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { type JudgeKeys, readVouchedTree } from '../../appraise/index.ts';
import { type GuardedTree, placesOf, type ReadTree } from './tree.ts';

export interface TreesStart {
  readonly trees: readonly GuardedTree[];
  readonly keys: JudgeKeys;
}

const { trees, keys }: TreesStart = workerData;
const read = trees.map(({ path, leastVersion }): ReadTree => {
  const version = leastVersion === undefined ? {} : { leastVersion };
  return placesOf(path, realpathSync(path), readVouchedTree(path, { keys, rootPath: path, ...version }));
});
parentPort?.postMessage(read);
