/**
 * "Try it": a copy of a harmless program is changed and run, as an attacker would change one, and the verdict turns.
 * `undo` puts the copy back and approves the one exception, because what ran in this boot stays in its measurements.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { digest, toHex } from '../../bytes/index.ts';
import { literalPattern, type TaggedDigest } from '../../reference/index.ts';
import type { Demonstration, DemonstrationState } from '../../server/index.ts';
import type { ReferenceKeeper } from './reference-keeper.ts';

const ORIGINAL = '/usr/bin/true';
const run = promisify(execFile);

export interface TryIt extends Demonstration {
  /** Makes the copy, approves it and runs it once. */
  prepare(): Promise<void>;
}

export interface TryItOptions {
  /** Where the copy is. */
  readonly folder: string;
  readonly keeper: () => ReferenceKeeper;
  /** Called when the copy has run. */
  readonly onRun: () => void;
  /** The host that it runs on, once it is enrolled. */
  readonly hostId: () => string | undefined;
}

export function tryIt({ folder, keeper, onRun, hostId }: TryItOptions): TryIt {
  const program = join(folder, 'program');
  let available = false;
  let state: DemonstrationState['state'] = 'clean';

  async function approve(origin: string): Promise<void> {
    const tagged = await digestOf(program);
    const path = literalPattern(program);
    await keeper().change((manifest) => ({
      ...manifest,
      files: manifest.files.some((file) => file.path === path && file.digests.includes(tagged))
        ? manifest.files
        : [...manifest.files, { path, digests: [tagged], origin }],
    }));
  }

  async function runProgram(): Promise<void> {
    await run(program);
    onRun();
  }

  async function restore(): Promise<void> {
    await copyFile(ORIGINAL, `${program}.new`);
    await rename(`${program}.new`, program);
  }

  return {
    state() {
      const host = hostId();
      return { available, state, program, ...(host === undefined ? {} : { host }) };
    },
    async prepare() {
      await mkdir(folder, { recursive: true, mode: 0o755 });
      await restore();
      await approve(`a copy of ${ORIGINAL}, made by assay up to be changed`);
      await runProgram();
      available = true;
    },
    tamper: inTurn(async () => {
      // Changed again it would be a third program, which one undo does not approve.
      if (state === 'tampered') return runProgram();
      // What follows the sections of an ELF file is not loaded: the program runs as before, and is another one.
      const changed = Buffer.concat([await readFile(ORIGINAL), randomBytes(16)]);
      await writeFile(`${program}.new`, changed, { mode: 0o755 });
      await rename(`${program}.new`, program);
      state = 'tampered';
      await runProgram();
    }),
    undo: inTurn(async () => {
      if (state === 'tampered') await approve('the change that was tried, approved as an exception');
      await restore();
      state = 'clean';
      await runProgram();
    }),
  };
}

/** Two pages may be open: what one asks for begins when the other's is done. */
let last: Promise<void> = Promise.resolve();

function inTurn(work: () => Promise<void>): () => Promise<void> {
  return () => {
    const turn = last.then(work);
    last = turn.catch(() => undefined);
    return turn;
  };
}

async function digestOf(path: string): Promise<TaggedDigest> {
  return `sha256:${toHex(digest('sha256', await readFile(path)))}`;
}
