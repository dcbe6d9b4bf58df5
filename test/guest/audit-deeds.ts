/** What the guest of `audit-session.ts` is told apart by, there and here. */

/** Owners of files, by which its policy tells them apart. */
export const AUDIT_OWNERS = { measured: 1010, appraised: 1011, signed: 1012, audited: 1013 } as const;

export type FileName = string | Buffer;

/** Names that the kernel writes in hex, and some that look like a record. */
export const ODD_NAMES: readonly FileName[] = [
  'plain',
  'with space',
  'with "quotes"',
  'line\nbreak',
  'op=collect_data cause=failed comm="x" res=1',
  Buffer.from([0x66, 0xff, 0x80]),
  'é',
];

/** Names of programs, at most 15 bytes. */
export const ODD_PROGRAMS: readonly string[] = ['op=a cause=b', 'say "x"'];
