import { readFileSync } from 'node:fs';

/** SELinux is active: files and processes bear labels that rules can ask for (`obj_type=`, `subj_user=` and their like). */
export function hasSelinux(): boolean {
  for (const file of ['/sys/kernel/security/lsm', '/proc/filesystems']) {
    try {
      if (/\bselinux(fs)?\b/.test(readFileSync(file, 'latin1'))) return true;
    } catch {
      // securityfs need not be mounted
    }
  }
  return false;
}
