/** Programs that a guest runs under appraisal, and what its kernel said of each. */
import type { Boot } from './guest.ts';
import { IN, OUT, run, type Step } from './script.ts';
import { GUEST_PROJECT } from './tree.ts';

export interface FileAnswer {
  readonly path: string;
  /** `ok`, or the errno by which it was refused. */
  readonly outcome: string;
  /** Operation and cause of the kernel's audit record, where there is one. */
  readonly cause?: string;
}

/** Tries the files of `IN/NAME.json` and brings out `NAME.answer`. */
export const tryFiles = (name: string, how: 'run' | 'load' = 'run'): Step =>
  run('node', `${GUEST_PROJECT}/test/guest/inside/try-files.ts`, how, `${IN}/${name}.json`, `${OUT}/${name}.answer`);

/** What {@link tryFiles} takes, among the files handed to a boot. */
export const trialList = (name: string, paths: readonly string[]): Record<string, string> => ({
  [`${name}.json`]: JSON.stringify(paths),
});

export function answersOf(boot: Boot, name: string): ReadonlyMap<string, FileAnswer> {
  const answers: readonly FileAnswer[] = JSON.parse(boot.file(`${name}.answer`).toString());
  return new Map(answers.map((answer) => [answer.path, answer] as const));
}

/** @param says `pass`, or operation and cause of the audit record */
export const expectedAnswer = (path: string, says: string): FileAnswer =>
  says === 'pass' ? { path, outcome: 'ok' } : { path, outcome: 'EACCES', cause: says };
