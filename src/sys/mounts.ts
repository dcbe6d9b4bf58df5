/** /proc/self/mountinfo: what is mounted in this mount namespace. */

/** A mount of a file system. */
export interface Mount {
  readonly id: string;
  /** `major:minor` of its superblock. */
  readonly device: string;
  /** Where it is mounted; one character a byte. */
  readonly path: string;
  /** `ext4`, `fuse.sshfs`, … */
  readonly type: string;
  /** What was mounted: a device, a server, or any word. */
  readonly source: string;
  /** The whole file system is read-only, not this mount alone. */
  readonly isReadOnly: boolean;
}

/**
 * proc_pid_mountinfo(5): `id parent major:minor root path options [optional…] - type source super-options`; in the order in
 * which they were mounted. Lines that are none are passed over.
 * @param text latin1, as paths are bytes
 */
export function parseMountInfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    const [id, device, path] = [fields[0], fields[2], fields[4]];
    const [type, source, options = ''] = fields.slice(dash + 1);
    if (dash < 0 || id === undefined || device === undefined || path === undefined || type === undefined) return [];
    const isReadOnly = options.split(',').includes('ro');
    return [{ id, device, path: unescapeOctal(path), type, source: unescapeOctal(source ?? ''), isReadOnly }];
  });
}

/** Blank, tab, newline and backslash are written `\040` and so on. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8) & 0xff));
}

/** File systems that the kernel makes up and that hold no programs; autofs too, as to look at it would mount it. */
const WITHOUT_PROGRAMS = new Set(
  (
    'autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts efivarfs fusectl hugetlbfs mqueue nsfs proc pstore ' +
    'rpc_pipefs securityfs selinuxfs smackfs sysfs tracefs'
  ).split(' '),
);

/** False for file systems that the kernel makes up. @param type as {@link Mount} has it */
export const canHoldPrograms = (type: string): boolean => !WITHOUT_PROGRAMS.has(type);
