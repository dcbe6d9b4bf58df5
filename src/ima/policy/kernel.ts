/**
 * Which words of the policy language which kernel has.
 *
 * 6.12 is read in its source and tried on the kernel itself. The versions before and after are upstream's history as we
 * know it; 6.1 is tried too, as far as Debian configures it.
 */
import { PolicyError } from './error.ts';
import type { PolicyAction, PolicyFunc, PolicyOption } from './rule.ts';

export interface KernelVersion {
  readonly major: number;
  readonly minor: number;
}

/** Before it, ima_validate_rule tested little, and what it took differs in more than words. */
export const OLDEST_KERNEL: KernelVersion = { major: 5, minor: 10 };
/** The newest that the tables know; every later one is taken to be like it. */
export const NEWEST_KERNEL: KernelVersion = { major: 7, minor: 1 };

export const kernelName = ({ major, minor }: KernelVersion): string => `${major}.${minor}`;

/**
 * `6.12`, `6.12.5-amd64` as `uname -r` prints it, or `newest`.
 * @throws {PolicyError} `policy.invalid-argument` for what is no version, and for kernels before 5.10
 */
export function parseKernelVersion(text: string): KernelVersion {
  if (text === 'newest') return NEWEST_KERNEL;
  const match = /^(\d{1,3})\.(\d{1,3})(?:[.\-+~].*)?$/.exec(text);
  if (match === null) {
    throw new PolicyError('policy.invalid-argument', `'${text}' is no kernel version`, 'give one as 6.12, or `newest`');
  }
  const version = { major: Number(match[1]), minor: Number(match[2]) };
  if (isBefore(version, OLDEST_KERNEL)) {
    throw new PolicyError(
      'policy.invalid-argument',
      `the policy language of kernel ${kernelName(version)} is not known`,
      `${kernelName(OLDEST_KERNEL)} is the oldest that is`,
    );
  }
  return version;
}

export const isBefore = (one: KernelVersion, other: KernelVersion): boolean =>
  one.major !== other.major ? one.major < other.major : one.minor < other.minor;

const version = (major: number, minor: number): KernelVersion => ({ major, minor });

/** Absent: older than {@link OLDEST_KERNEL}. */
export const SINCE: {
  readonly actions: Readonly<Partial<Record<PolicyAction, KernelVersion>>>;
  readonly funcs: Readonly<Partial<Record<PolicyFunc, KernelVersion>>>;
  readonly options: Readonly<Partial<Record<PolicyOption, KernelVersion>>>;
  readonly templates: Readonly<Record<string, KernelVersion>>;
} = {
  actions: { dont_audit: version(6, 19) },
  funcs: {
    CRITICAL_DATA: version(5, 12),
    SETXATTR_CHECK: version(5, 15),
    MMAP_CHECK_REQPROT: version(6, 3),
  },
  options: {
    label: version(5, 12),
    appraise_algos: version(5, 15),
    gid: version(5, 16),
    egid: version(5, 16),
    fgroup: version(5, 16),
    digest_type: version(5, 19),
    fs_subtype: version(6, 19),
  },
  templates: {
    'evm-sig': version(5, 14),
    'ima-ngv2': version(5, 19),
    'ima-sigv2': version(5, 19),
  },
};

/** `appraise_flag=` has to say `check_blacklist`, with appended signatures alone; since then any word is taken and none counts. */
export const IGNORES_APPRAISE_FLAG = version(6, 6);
/** `#` in the middle of a line begins a comment there ("ima: ignore suffixed policy rule comments"). */
export const INLINE_COMMENTS = version(6, 15);
/**
 * `appraise_type=sigv3` for the content of a file too ("ima: add regular file data hash signature version 3 support",
 * linux-integrity, March 2026), and not only behind `digest_type=verity`. Not tried: no released kernel at hand has it.
 */
export const SIGV3_OF_FILES = version(7, 1);
