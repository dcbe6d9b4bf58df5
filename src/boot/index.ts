/** Measured boot: TCG event logs, decoded and replayed. */
export { BootError, type BootErrorCode } from './error.ts';
export { EventType, eventTypeName } from './event-types.ts';
export type { BootEvent, BootLog, EventDigest, ReplayedPcrs, SpecId } from './log.ts';
export { parseBootLog } from './parse.ts';
export { digestMatchesPayload, type PayloadMatch, payloadText } from './payload.ts';
export { pcrMeaning } from './pcr-meaning.ts';
export { isExtended, logBanks, replayBootLog, startupLocality } from './replay.ts';
export { parseUserspaceLog, recordMatchesText, replayUserspaceLog, type UserspaceRecord } from './userspace-log.ts';
