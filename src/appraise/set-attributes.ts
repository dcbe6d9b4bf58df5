/** Writes attributes of one file that belong together: all of them, or it is as it was. */
import { statfsSync } from 'node:fs';
import { fremoveXattr, fsetXattr } from '../sys/index.ts';
import { FileProblem, problemOf } from './problem.ts';

export interface NewAttribute {
  readonly name: string;
  readonly value: Buffer;
  /** What the file has now. */
  readonly before: Buffer | undefined;
}

/** An equal label is left alone: writing would change the file's ctime and the disk for nothing. */
export const isNew = ({ value, before }: NewAttribute): boolean => before?.equals(value) !== true;

/** @throws {SysError} @throws {FileProblem} `no-xattr-room`, `half-labelled` */
export function setAttributes(fd: number, attributes: readonly NewAttribute[]): void {
  const written: NewAttribute[] = [];
  try {
    for (const attribute of attributes.filter(isNew)) {
      set(fd, attribute);
      written.push(attribute);
    }
  } catch (error) {
    for (const attribute of written.reverse()) takeBack(fd, attribute);
    throw error;
  }
}

function set(fd: number, { name, value }: NewAttribute): void {
  try {
    fsetXattr(fd, name, value);
  } catch (error) {
    // A used-up quota is EDQUOT, however much of the disk is free.
    if (problemOf(error).errno === 'ENOSPC' && hasFreeBlocks(fd)) throw new FileProblem('no-xattr-room');
    throw error;
  }
}

function takeBack(fd: number, { name, before }: NewAttribute): void {
  try {
    if (before === undefined) fremoveXattr(fd, name);
    else fsetXattr(fd, name, before);
  } catch {
    throw new FileProblem('half-labelled');
  }
}

/** ext4 answers ENOSPC too where the attributes of one file fill the block that they share. */
function hasFreeBlocks(fd: number): boolean {
  // Not bfree: some blocks are kept back even from root (ext4's s_resv_clusters).
  return statfsSync(`/proc/self/fd/${fd}`).bavail > 0;
}
