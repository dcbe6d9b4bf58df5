import type { CcReplay } from '../boot/index.ts';

/** Says on standard error which events of a confidential-computing log no register holds. */
export function warnOfStrays({ strays }: CcReplay): void {
  if (strays.length === 0) return;
  process.stderr.write(
    `warning: no register that software extends holds event ${strays.join(', ')}: not in the values\n`,
  );
}
