import type { CcReplay } from '../boot/index.ts';

const MAX_NAMED = 10;

/** Says on standard error which events of a confidential-computing log no register holds. */
export function warnOfStrays({ strays }: CcReplay): void {
  if (strays.length === 0) return;
  const named = strays.slice(0, MAX_NAMED).join(', ');
  const more = strays.length > MAX_NAMED ? ` and ${strays.length - MAX_NAMED} more` : '';
  process.stderr.write(`warning: no register that software extends holds event ${named}${more}: not in the values\n`);
}
