/**
 * Runs in the guest: does in a folder what makes the kernel write a record of each kind that a file can cause, under the
 * policy of `audit-session.ts`. Usage: deeds|metadata FOLDER
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, closeSync, constants, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { digest } from '../../../src/bytes/index.ts';
import { encodeImaDigest, IMA_XATTR } from '../../../src/ima/index.ts';
import { setXattr } from '../../../src/sys/index.ts';
import { AUDIT_OWNERS, type FileName, ODD_NAMES, ODD_PROGRAMS } from '../audit-deeds.ts';

const [, , what = '', folder = ''] = process.argv;

/** The kernel may refuse: what it says of it is what is looked at. */
function attempt(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}

const pathOf = (name: FileName): Buffer => Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name)]);

/** A file of root first, to which no rule applies; then of whom the rules are about. */
function make(name: FileName, owner: number, label?: Uint8Array): Buffer {
  const path = pathOf(name);
  writeFileSync(path, `${folder} holds ${name.toString()}\n`);
  if (label !== undefined) setXattr(path, IMA_XATTR, label);
  chownSync(path, owner, 0);
  return path;
}

const open = (path: Buffer, flags: number): void => attempt(() => closeSync(openSync(path, flags)));

/** Calls `act` while the file is open. */
function whileOpen(path: Buffer, flags: number, act: () => void): void {
  const fd = openSync(path, flags);
  act();
  closeSync(fd);
}

const labelOf = (text: string): Uint8Array => encodeImaDigest('sha256', digest('sha256', Buffer.from(text)));

function deeds(): void {
  mkdirSync(folder);
  for (const name of ODD_NAMES) open(make(name, AUDIT_OWNERS.appraised), constants.O_RDONLY);
  open(make('changed', AUDIT_OWNERS.appraised, labelOf('other')), constants.O_RDONLY);
  open(make('unsigned', AUDIT_OWNERS.signed, labelOf('other')), constants.O_RDONLY);
  open(
    make('direct', AUDIT_OWNERS.appraised, labelOf(`${folder} holds direct\n`)),
    constants.O_RDONLY | constants.O_DIRECT,
  );
  for (const name of ODD_NAMES) {
    const path = make(Buffer.concat([Buffer.from('audited '), Buffer.from(name)]), AUDIT_OWNERS.audited);
    open(path, constants.O_RDONLY);
  }
  const written = make('written while read', AUDIT_OWNERS.measured);
  whileOpen(written, constants.O_RDONLY, () => open(written, constants.O_WRONLY));
  const read = make('read while written', AUDIT_OWNERS.measured);
  whileOpen(read, constants.O_WRONLY, () => open(read, constants.O_RDONLY));
  const refused = make('by sha1', 0);
  attempt(() => setXattr(refused, IMA_XATTR, encodeImaDigest('sha1', digest('sha1', Buffer.alloc(0)))));
  for (const name of ODD_PROGRAMS) {
    const victim = make(`read by ${name}`, AUDIT_OWNERS.appraised);
    const program = pathOf(name);
    writeFileSync(program, `#!/bin/sh\nread line <'${victim}'\n`, { mode: 0o755 });
    spawnSync(program.toString());
  }
}

/** Once EVM is on. */
function metadata(): void {
  const unprotected = pathOf('changed');
  attempt(() => chmodSync(unprotected, 0o600));
  open(unprotected, constants.O_RDONLY);
  const bare = make('bare', 0);
  attempt(() => setXattr(bare, IMA_XATTR, labelOf('bare')));
}

if (what === 'deeds') deeds();
else metadata();
