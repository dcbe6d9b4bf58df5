/** The attester: measures where the kernel does not, and collects evidence. */

export { type Attester, collectEvidence } from './attest/attester.ts';
export { type HostIdentity, loadIdentity } from './attest/identity.ts';
export type { LogSources } from './attest/log-sources.ts';
export { pcrBanks, readBank, tpmExtender } from './attest/tpm-extender.ts';
export { AgentError, type AgentErrorCode } from './error.ts';
export { encodeTemplateEntry, IMA_PCR, type TemplateEntry } from './measure/entry.ts';
export { HostMeasurer, type HostMeasurerOptions, type WatchState } from './measure/host-measurer.ts';
export { MeasurementLog } from './measure/measurement-log.ts';
export { FileMeasurer, type MeasuredFile, type Measurement } from './measure/measurer.ts';
export type { PcrExtender, TpmBoot } from './measure/pcr-extender.ts';
export { type FileState, OTHER_NAMESPACE } from './measure/place.ts';
export { type ProcessWalk, type StaleFile, walkProcesses } from './measure/processes.ts';
export { RefusedError, type ServerAddress, ServerConnection } from './remote/connection.ts';
export { checkEnrolledKey, enrol, enrolWhenReachable, type KeptEnrolment, readEnrolment } from './remote/enrolment.ts';
export { attestUntilVerdict, Pusher, type PushOptions } from './remote/push.ts';
export { type HostAgent, type HostAgentOptions, startHostAgent } from './run.ts';
export {
  kernelHasIma,
  MAX_PART,
  readBootLog,
  readGrowing,
  readImaList,
  readUserspaceLog,
  whyNoBootLog,
} from './sources.ts';
