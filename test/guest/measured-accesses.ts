/**
 * A tree and a script of accesses to it, run under one policy by a kernel with IMA (the tree is a guest's disk) and by the
 * guard (the tree is mounted here): both are to measure the same.
 */
import { busyboxTree, program, type Tree } from './tree.ts';

/** Whose files the rules are not about. */
export const EXEMPT = 1050;
const OTHER = 1051;

export const ACCESSES = '/srv/accesses.sh';

/**
 * What each line is about stands behind it. Every file that the shell itself writes is written whole before the next line:
 * `cat` and `sh` are busybox, which opens, reads and closes.
 */
const SCRIPT = `
cd /srv
bin/one                                    # a script, and the shell that its first line names
bin/one                                    # again: nothing new
cp bin/one bin/copy && bin/copy            # the same content under another name
ln bin/one bin/link && bin/link            # the same inode under another name: nothing new
sh bin/two                                 # read by an interpreter
cat data/plain >/dev/null
echo more >>data/plain
cat data/plain >/dev/null                  # changed, so measured again
cat data/plain >/dev/null
touch data/plain
cat data/plain >/dev/null                  # as it was: nothing new
cat 'data/with space' >/dev/null
cat "data/$(printf 'line\\nbreak')" >/dev/null
cat data/empty >/dev/null
mv data/old data/new && cat data/new >/dev/null
rm data/gone && echo again >data/gone && cat data/gone >/dev/null
echo new >data/made && cat data/made >/dev/null
ln -s plain data/symlink && cat data/symlink >/dev/null
cat data/exempt >/dev/null                 # dont_measure
chown ${EXEMPT} data/given && cat data/given >/dev/null
su -s /bin/sh other -c 'cat /srv/data/foreign >/dev/null'   # not root: no rule for reading
su -s /bin/sh other -c /srv/bin/three                       # every execution
sh -c 'exec 3<>data/both'                  # opened to read and write
sh -c 'exec 3>>data/appended'              # to write alone: no rule
sh -c 'exec 3>>data/open-writers; cat data/open-writers >/dev/null'   # violation
sh -c 'exec 3<data/tomtou; echo x >>data/tomtou'                       # violation
cat data/tomtou >/dev/null                 # changed since
`;

export const accessTree = (): Tree => ({
  ...busyboxTree(),
  '/etc/passwd': { text: `root:x:0:0:root:/root:/bin/sh\nother:x:${OTHER}:${OTHER}:other:/srv:/bin/sh\n` },
  [ACCESSES]: program(`set -e${SCRIPT}`),
  '/srv/bin/one': program('echo one >/dev/null'),
  '/srv/bin/two': { text: 'echo two >/dev/null\n' },
  '/srv/bin/three': program('echo three >/dev/null'),
  ...Object.fromEntries(
    ['plain', 'with space', 'line\nbreak', 'old', 'gone', 'exempt', 'given', 'foreign', 'both'].map(
      (name) => [`/srv/data/${name}`, { text: `${name}\n` }] as const,
    ),
  ),
  ...Object.fromEntries(
    ['appended', 'open-writers', 'tomtou'].map((name) => [`/srv/data/${name}`, { text: `${name}\n` }] as const),
  ),
  '/srv/data/empty': { text: '' },
});

/** Is to be given to {@link EXEMPT}: a disk's files are root's at first. */
export const EXEMPT_FILE = '/srv/data/exempt';

/** @param uuid of the tree's file system */
export const accessPolicy = (uuid: string): readonly string[] => [
  `dont_measure func=FILE_CHECK fsuuid=${uuid} fowner=${EXEMPT}`,
  `measure func=BPRM_CHECK fsuuid=${uuid}`,
  `measure func=FILE_CHECK mask=^MAY_READ fsuuid=${uuid} uid=0`,
];
