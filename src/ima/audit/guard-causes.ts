/** Causes of Assay's guard where a kernel has none: it judges names by directory labels, and tells of what a kernel refuses silently. */
import type { AuditCause } from './cause.ts';

const DIRECTORIES = 'See the whole tree: assay appraise TREE --directories --key CERTIFICATE.';
const LABEL_AGAIN =
  'If the change was meant, label the tree again (assay label TREE --directories --sign KEY) and reload the guard.';
const PUT_BACK = `Put it back as it was. ${LABEL_AGAIN}`;

/** A name that is not what its directory's label says. */
const entry = (meaning: string, repair = PUT_BACK): AuditCause => ({ weight: 'failure', meaning, repair });
/** A directory whose label vouches for nothing in it. */
const directory = (meaning: string, repair = `${DIRECTORIES} ${LABEL_AGAIN}`): AuditCause => ({
  weight: 'failure',
  meaning: `${meaning}, so that no file in it is vouched for`,
  repair,
});

export const GUARD_CAUSES = {
  open_writers: {
    weight: 'failure',
    meaning:
      'The guard refused to let a program run that somebody had open for writing (a kernel answers ETXTBSY, and tells nothing)',
    repair: 'Replace programs by renaming a new file over them; find who writes: fuser -v FILE.',
  },
  'signed-file-write': {
    weight: 'failure',
    meaning:
      'The guard refused to open a file for writing whose label is a signature (a kernel does so, and tells nothing)',
    repair:
      'Replace the file by renaming a new, signed one over it. If it is to change in place, give it a digest: assay label FILE.',
  },
  'entry-added': entry('The file was not there when its directory was labelled'),
  'entry-deleted': entry('The file is gone from its labelled directory'),
  'entry-renamed': entry('The file had another name when its directory was labelled'),
  'entry-moved': entry('The file was in another directory when the tree was labelled'),
  'entries-swapped': entry('The file has changed places with another one of its labelled directory'),
  'entry-type-changed': entry('Something of another type was there when the directory was labelled'),
  'entry-content-changed': entry('The file is not the one that was under this name when its directory was labelled'),
  'inode-changed': directory(
    'Files of the directory were replaced by equal ones, and its label is bound to inode numbers',
  ),
  'metadata-changed': directory('The directory has another mode, owner, ACL or security attribute than was labelled'),
  'directory-changed': directory('The directory is not as it was labelled, and what differs cannot be told'),
  'missing-directory-label': directory('The directory, or the top of its tree, has no label that can be read'),
  'malformed-directory-label': directory('The label of the directory is none'),
  unprotected: directory('The label of the directory is neither signed nor covered by EVM'),
  'invalid-directory-signature': directory(
    'The signature of the directory’s label does not stand',
    `See which key it names: assay label show DIRECTORY. Give the guard that certificate with --key, or label the tree again.`,
  ),
  'invalid-directory-evm': directory('EVM does not vouch for the label of the directory'),
  'other-form': directory('The label of the directory is of another form or algorithm than that of the tree’s top'),
  'older-version': directory(
    'The label of the directory is of another version than the tree: an older one was put back',
  ),
  'older-tree': directory(
    'The tree is older than the version that the guard was told',
    'Put the newer tree back, or say a lower --least-version if the older one is meant.',
  ),
  'other-root': directory(
    'The tree was labelled as another one',
    'Name it to the guard by the path that it was labelled for, or label it for this one: assay label TREE --directories --root-path PATH.',
  ),
  'other-place': directory('The label of the directory was made for another one: it was moved or renamed'),
} as const satisfies Record<string, AuditCause>;
