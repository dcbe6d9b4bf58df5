/** A file system that is mounted in this mount namespace. */
export interface Mount {
  /** `major:minor` of its superblock. */
  readonly device: string;
  /** One character a byte. */
  readonly path: string;
  readonly type: string;
}

/** File systems that the kernel makes up and that hold no programs; autofs too, as to look at it would mount it. */
const WITHOUT_PROGRAMS = new Set(
  (
    'autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts efivarfs fusectl hugetlbfs mqueue nsfs proc pstore ' +
    'rpc_pipefs securityfs selinuxfs smackfs sysfs tracefs'
  ).split(' '),
);

/**
 * /proc/self/mountinfo (proc(5)): `id parent major:minor root path options [optional…] - type source options`; each file
 * system that can hold programs, once, under the last of its mounts.
 * @param text latin1
 */
export function parseMountInfo(text: string): Mount[] {
  const mounts = new Map<string, Mount>();
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const [device, path, type] = [fields[2], fields[4], fields[fields.indexOf('-', 6) + 1]];
    if (device === undefined || path === undefined || type === undefined || !fields.includes('-', 6)) continue;
    if (!WITHOUT_PROGRAMS.has(type)) mounts.set(device, { device, path: unescapeOctal(path), type });
  }
  return [...mounts.values()];
}

/** Blank, tab, newline and backslash are written `\040` and so on. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8) & 0xff));
}
