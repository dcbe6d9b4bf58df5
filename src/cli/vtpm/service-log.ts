/** What a TPM's service tells: a line each, in a file or on standard error. Never a command's content: it may hold secrets. */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { AssayError } from '../../bytes/index.ts';
import { escapeControls } from '../terminal.ts';
import type { LogPlace } from './socket-options.ts';

/** At which level of `--log` each command is told, as libtpms' own log begins in swtpm. */
export const LEVEL_COMMANDS = 5;

export interface ServiceLog {
  readonly level: number;
  line(text: string): void;
  failure(error: unknown): void;
  close(): void;
}

export function openServiceLog({ place, isSilent, level, prefix, truncates }: LogPlace): ServiceLog {
  const { O_WRONLY, O_CREAT, O_APPEND, O_TRUNC, O_NOFOLLOW } = constants;
  const flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | (truncates ? O_TRUNC : 0);
  const fd = place === undefined ? 2 : 'fd' in place ? place.fd : openSync(place.file, flags, 0o600);
  const line = (text: string): void => {
    if (isSilent) return;
    try {
      writeSync(fd, `${prefix}${escapeControls(text)}\n`);
    } catch {
      // A log that is full or gone is no reason to take a guest its TPM
    }
  };
  return {
    level,
    line,
    failure(error) {
      const advice = error instanceof AssayError && error.advice !== undefined ? `; ${error.advice}` : '';
      line(`${error instanceof Error ? error.message : String(error)}${advice}`);
    },
    close() {
      if (place !== undefined) closeSync(fd);
    },
  };
}
