/** One executable mapping of a file. */
export interface Mapping {
  /** `7f2a1000-7f2a9000`, the name of its link in /proc/PID/map_files. */
  readonly range: string;
  /** Shared with other processes and written through the file, as just-in-time compilers do with memory of their own. */
  readonly isShared: boolean;
  /** `major:minor:inode` in the kernel's own words: fit to tell mappings apart, not to compare with stat (btrfs, overlayfs). */
  readonly file: string;
  /** One character a byte; ` (deleted)` at its end where the kernel says so. */
  readonly name: string;
}

const LINE = /^([0-9a-f]+)-([0-9a-f]+) [r-][w-]x([sp-]) [0-9a-f]+ ([0-9a-f]+:[0-9a-f]+) (\d+) +(\/.*)$/gm;

/**
 * The executable mappings of files in /proc/PID/maps, in its order; what is no file ([heap], [vdso], anon_inode:) has no
 * path there. proc(5) writes a newline in a name as `\012` and nothing else so: the link in map_files has the true name.
 * @param text latin1, as names are bytes
 */
export function parseMaps(text: string): Mapping[] {
  const mappings: Mapping[] = [];
  for (const [, start = '', end = '', sharing, device, inode, name = ''] of text.matchAll(LINE)) {
    if (inode === '0') continue;
    mappings.push({
      range: `${unpadded(start)}-${unpadded(end)}`,
      isShared: sharing === 's',
      file: `${device}:${inode}`,
      name: name.replaceAll('\\012', '\n'),
    });
  }
  return mappings;
}

/** maps pads addresses to 8 digits, map_files does not (fs/proc/base.c:proc_map_files_lookup takes no leading zero). */
function unpadded(address: string): string {
  return address.replace(/^0+(?=.)/, '');
}
