/** systemd's boot phases in PCR 11, where no log tells them: systemd 252 to 254 write none. */
import { type DigestAlgorithm, digest, fromHex, toHex } from '../bytes/index.ts';

/** systemd: units/systemd-pcrphase*.service.in; the words, and their order, are the same on every machine. */
const PHASES_IN_ORDER = ['enter-initrd', 'leave-initrd', 'sysinit', 'ready', 'shutdown', 'final'] as const;
/** A boot without an initrd begins here. */
const WITHOUT_INITRD = 2;

export const PHASE_PCR = 11;
export const BOOT_PHASES: ReadonlySet<string> = new Set(PHASES_IN_ORDER);

/**
 * True where the phases of a boot, up to some one, lead from the firmware log's value to the TPM's: nothing else was then
 * measured between them.
 * @param start what the firmware log replays to, in hex
 */
export function isReachedByPhases(bank: DigestAlgorithm, start: string, held: Uint8Array): boolean {
  const goal = toHex(held);
  return [PHASES_IN_ORDER, PHASES_IN_ORDER.slice(WITHOUT_INITRD)].some((phases) => {
    let value = start;
    return phases.some((phase) => {
      value = toHex(digest(bank, fromHex(value, 'PCR 11'), digest(bank, Buffer.from(phase))));
      return value === goal;
    });
  });
}
