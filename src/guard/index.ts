/** The guard: IMA's policy held at the door of the file system, on fanotify, where the kernel has no IMA. */
export { guardStatus, reloadGuard, stopGuard } from './ask.ts';
export type { Counts } from './counters.ts';
export { coverageOf, type NotEnforced, type PolicyCoverage } from './coverage.ts';
export { GuardError, type GuardErrorCode } from './error.ts';
export { Guard, type GuardOptions, type GuardPolicy, type GuardStatus, type MeasurementSink } from './guard.ts';
export type { FindingReport, GuardFault, Measurement } from './messages.ts';
export { GUARD_MODES, type GuardMode } from './mode.ts';
export type { UnwatchedMount } from './mounts/thread.ts';
export type { LaneName, WatchedMount } from './mounts/watched-mounts.ts';
export {
  AUDIT_LOG,
  type Denial,
  GuardService,
  type NamedPolicy,
  type ServiceOptions,
  type ServiceStatus,
} from './service.ts';
export type { GuardedTree, TreeStatus } from './trees/tree.ts';
export { FAIL_MODES, type FailMode } from './watchdog/watchdog.ts';
