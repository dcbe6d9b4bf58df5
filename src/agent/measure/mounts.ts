import { canHoldPrograms, type Mount, parseMountInfo } from '../../sys/index.ts';

/**
 * Each file system that can hold programs, once, under the last of its mounts.
 * @param text of /proc/self/mountinfo, latin1
 */
export function fileSystemsWithPrograms(text: string): Pick<Mount, 'device' | 'path' | 'type'>[] {
  const mounts = new Map<string, Pick<Mount, 'device' | 'path' | 'type'>>();
  for (const { device, path, type } of parseMountInfo(text)) {
    if (canHoldPrograms(type)) mounts.set(device, { device, path, type });
  }
  return [...mounts.values()];
}
