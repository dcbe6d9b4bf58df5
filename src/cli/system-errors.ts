/** System errors that a person can mend, in words; any other is a defect of ours and keeps its stack. */
const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EACCES: 'permission denied; root may be needed',
  EPERM: 'not permitted; root may be needed',
  EISDIR: 'is a folder, a file is needed',
  ENOTDIR: 'a part of the path is not a folder',
  ENOSPC: 'the disk is full',
  EROFS: 'the file system is read-only',
  EFBIG: 'the file would be larger than the limit for files (ulimit -f)',
  EDQUOT: 'the disk quota is used up',
  EEXIST: 'is there already and is something else',
  ELOOP: 'its symbolic links lead in a circle',
  ENAMETOOLONG: 'the name is too long',
  EIO: 'the device cannot be read or written',
  EADDRINUSE: 'the address is in use; choose another port',
  ECONNREFUSED: 'nothing listens there',
};

const ADVICE: Readonly<Record<string, string>> = {
  ENOENT: 'look whether the name is right',
  EISDIR: 'name a file in it',
  ENOTDIR: 'look whether the name is right',
  ENOSPC: 'make room, or name a place on another file system',
  EDQUOT: 'make room, or name a place on another file system',
  EROFS: 'name a place on another file system',
  EACCES: 'run it as a user who may',
  EPERM: 'run it as a user who may',
  ENAMETOOLONG: 'name a shorter path',
  ELOOP: 'look where its symbolic links lead',
};

/** What to do about it; undefined where there is nothing to say. */
export function systemErrorAdvice(code: string): string | undefined {
  return ADVICE[code];
}

/** @param code `ENOENT`, `EACCES`, … */
export function systemErrorWords(code: string): string | undefined {
  return WORDS[code];
}

/** Primary result codes of SQLite (sqlite.org/rescode.html) that are the disk's doing, not ours. */
const STORE_WORDS: Readonly<Record<number, string>> = {
  8: 'the store (assay.db) cannot be written: it is read-only',
  10: 'the store (assay.db) cannot be read or written: the disk fails',
  11: 'the store (assay.db) is damaged',
  13: 'the store (assay.db) cannot grow: the disk is full',
  14: 'the store (assay.db) cannot be opened',
  26: 'the store (assay.db) is damaged: it is no SQLite database',
};

/** @param errcode an SQLite result code, extended or not: the primary one is its lowest byte */
export function storeErrorWords(errcode: number): string | undefined {
  return STORE_WORDS[errcode & 0xff];
}
