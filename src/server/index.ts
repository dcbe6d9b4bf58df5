/** The service: registrar, verifier, live events. */
export type { Settings } from './context.ts';
export { dashboardLinkFrom } from './control-socket.ts';
export type { CheckedAk, CheckedEk, EkRoot, EnrolmentTpm } from './enrolment-tpm.ts';
export { ServerError, type ServerErrorCode } from './error.ts';
export { joinCommand } from './join-command.ts';
export type { Judgement } from './judgement.ts';
export type { Listener } from './listener.ts';
export type { Demonstration, DemonstrationState } from './routes/demonstration.ts';
export type { FindingView } from './routes/host-body.ts';
export { type AttestedHost, type RunningServer, type ServerOptions, startServer } from './start.ts';
