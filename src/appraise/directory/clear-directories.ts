/** Takes the labels of a tree's directories away. */
import { closeFile, fgetXattr, fremoveXattr, openBeneath } from '../../sys/index.ts';
import { type Problem, problemOf } from '../problem.ts';
import { TreeRoot } from '../tree-run.ts';
import { TreeWalk, type WalkOptions } from '../walk.ts';

export interface ClearDirectoriesOptions extends Pick<WalkOptions, 'oneFileSystem' | 'exclude' | 'fileSystems'> {
  readonly namespace?: 'security' | 'user';
  readonly dryRun?: boolean;
  readonly onProblem: (problem: Problem) => void;
}

/** @returns how many had a label @throws {AppraiseError} `appraise.root` */
export function clearDirectories(tree: string, options: ClearDirectoriesOptions): number {
  const { namespace = 'security', oneFileSystem = false, dryRun = false, onProblem } = options;
  const attribute = `${namespace}.assay.dir`;
  const root = new TreeRoot(tree);
  let cleared = 0;
  const clear = (path: Uint8Array): void => {
    const name = path.length === 0 ? Buffer.from('.') : path;
    const fd = openBeneath(root.fd, Buffer.concat([name, Buffer.alloc(1)]), { directory: true, oneFileSystem });
    try {
      const isLabelled = dryRun ? fgetXattr(fd, attribute) !== undefined : fremoveXattr(fd, attribute);
      if (isLabelled) cleared += 1;
    } finally {
      closeFile(fd);
    }
  };
  try {
    if (root.only !== undefined) return 0;
    const folders: Uint8Array[] = [];
    const onOther = (entry: { readonly type: string; readonly path: Uint8Array }): void => {
      if (entry.type === 'directory') folders.push(Buffer.from(entry.path));
    };
    const { exclude = [], fileSystems } = options;
    const only = fileSystems === undefined ? {} : { fileSystems };
    const walk = new TreeWalk(root.fd, { oneFileSystem, exclude, ...only, onOther });
    for (const _ of walk.batches()) walk.problems.splice(0).forEach(onProblem);
    walk.problems.splice(0).forEach(onProblem);
    for (const path of folders) {
      try {
        clear(path);
      } catch (error) {
        onProblem({ path, ...problemOf(error) });
      }
    }
    return cleared;
  } finally {
    root.close();
  }
}
