/** Measured boot: TCG event logs, decoded and replayed. */

export { type BootLogs, bootWarnings, provenPcrs, replayBoot } from './boot-logs.ts';
export {
  CC_REGISTERS,
  type CcRegister,
  type CcReplay,
  ccRegister,
  isCcelTable,
  isCcLog,
  replayCcLog,
  tellCcBoot,
} from './ccel.ts';
export {
  bootLogFromCel,
  bootLogsFromCel,
  type CelContent,
  type CelForm,
  type CelIndex,
  type CelRecord,
  celForm,
  celFromBootLog,
  celFromImaEntries,
  encodeCel,
  type ImaTemplateEntry,
  parseCel,
} from './cel/index.ts';
export { CHANGES, type ChangeCode, type ChangeKind, type ChangeSeverity } from './compare/changes.ts';
export { type BootChange, bootAuthorities, compareBoots, STARTED_CHANGES } from './compare/compare.ts';
export { changeOf } from './compare/component.ts';
export { decodeEvent, decodeLog } from './decode/decode-event.ts';
export type {
  BootAction,
  DecodedEvent,
  DecodedPayload,
  FirmwareBlob,
  HandoffTable,
  HcrtmComponent,
  ImageLoad,
  Locator,
  SbatComponent,
  Sp800155,
  SpdmEvent,
  Tagged,
  Undecodable,
  Variable,
  VariableValue,
  Vouched,
} from './decode/decoded-event.ts';
export { type DevicePath, readDevicePath } from './decode/device-path.ts';
export type { Gpt, Partition } from './decode/gpt.ts';
export { EFI_GLOBAL_VARIABLE, EFI_IMAGE_SECURITY_DATABASE, guidName, readGuid, SHIM_LOCK } from './decode/guid.ts';
export type { Ipl, IplRole } from './decode/ipl.ts';
export { type LoadOption, readLoadOption } from './decode/load-option.ts';
export {
  type CertificateSummary,
  readAuthority,
  readSignatureLists,
  type Signature,
  type SignatureContent,
  type SignatureList,
  type SignatureType,
} from './decode/signature-list.ts';
export { compareLaunches, type LaunchChange, type LaunchMeasurement, launchMeasurements } from './drtm/launch.ts';
export {
  type LaunchEvent,
  type LaunchKind,
  launchKind,
  launchPcrUses,
  nameLaunchEvents,
  type TxtPcrMap,
  txtPcrMap,
} from './drtm/names.ts';
export { looksLikeTxtContainer, parseTxtContainer } from './drtm/txt-container.ts';
export { looksLikeTxtStat, parseTxtStat } from './drtm/txt-stat.ts';
export { BootError, type BootErrorCode } from './error.ts';
export { EventType, eventTypeName } from './event-types.ts';
export type { BootEvent, BootLog, EventDigest, ReplayedPcrs, SpecId } from './log.ts';
export { parseBootLog } from './parse.ts';
export { digestMatchesPayload, type PayloadMatch, payloadText } from './payload.ts';
export { pcrMeaning } from './pcr-meaning.ts';
export {
  authenticodeDigest,
  findSection,
  imageSignatures,
  type PeImage,
  type PeSection,
  parsePe,
  sectionBytes,
} from './pe/index.ts';
export { BOOT_PHASES, isReachedByPhases, PHASE_PCR } from './phases.ts';
export {
  appendedVariable,
  type BootDescription,
  type BootFile,
  type BootWay,
  DEFAULT_PHASES,
  type GrubDisk,
  type GrubEntry,
  imageSigners,
  isStubCompanion,
  type Measurement,
  measurementDigest,
  type Prediction,
  predictBoot,
  predictEntries,
  predictUki,
  type SignedPolicies,
  STUB_FOLDER_OF_IMAGE,
  STUB_FOLDERS,
  sealingPolicy,
  signPolicies,
} from './predict/index.ts';
export { isExtended, logBanks, replayBootLog, startupLocality } from './replay.ts';
export { replayWarnings } from './replay-warnings.ts';
export type { KeyVariable, SecureBootState } from './secure-boot-state.ts';
export { type BootState, bootState, type LeftOut, type LeftOutCode } from './state.ts';
export { type StoryChapter, type StoryLine, type StoryStage, tellBoot, tellUserspace } from './story.ts';
export type { StartedFile } from './told-contents.ts';
export { tpm2EventlogYaml } from './tpm2-yaml/log.ts';
export { parseUserspaceLog, recordMatchesText, replayUserspaceLog, type UserspaceRecord } from './userspace-log.ts';
export { encodeBootLog } from './write.ts';
