/** Measured boot: TCG event logs, decoded and replayed. */
export { BootError, type BootErrorCode } from './error.ts';
export type { BootEvent, BootLog, EventDigest, ReplayedPcrs, SpecId } from './log.ts';
