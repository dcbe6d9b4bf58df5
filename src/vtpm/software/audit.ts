/** Audit of sessions and of commands (Part 1, 31; Part 4, SessionProcess.c and CommandAudit.c). */
import { digest, digestInfo } from '../../bytes/index.ts';
import { COMMANDS, cpHash, handleName, rpHash, TPM_RC } from '../../tpm/index.ts';
import type { Machine } from './machine.ts';
import type { CommandContext, Use } from './session-use.ts';
import type { Session } from './state.ts';

/** Both kinds of digest grow by cpHash and rpHash. @param parameters of the response, encrypted where they are */
function grown(
  algorithm: Session['authHash'],
  old: Uint8Array,
  { command, names, parameters: asked }: CommandContext,
  parameters: Uint8Array,
): Uint8Array {
  const { code } = command;
  return digest(
    algorithm,
    old,
    cpHash(algorithm, code, names, asked),
    rpHash(algorithm, TPM_RC.SUCCESS, code, parameters),
  );
}

const zeros = (algorithm: Session['authHash']): Uint8Array => new Uint8Array(digestInfo(algorithm).size);

/**
 * Part 1, 31.3: extends the audit session's digest. A session is exclusive from its first command on, for as long as every
 * command that could have been audited was, by it.
 */
export function auditSessions(
  { volatile }: Machine,
  uses: readonly Use[],
  context: CommandContext,
  parameters: Uint8Array,
): void {
  const use = uses.find(({ area }) => area.sessionAttributes.audit);
  if (use?.session === undefined) {
    if (context.command.allowsSessions) volatile.exclusiveSession = 0;
    return;
  }
  const { session, area } = use;
  if (!session.isAudit || area.sessionAttributes.auditReset) {
    session.isAudit = true;
    session.isBound = false;
    session.auditDigest = zeros(session.authHash);
    volatile.exclusiveSession = session.handle;
  } else if (volatile.exclusiveSession !== session.handle) volatile.exclusiveSession = 0;
  session.auditDigest = grown(session.authHash, session.auditDigest, context, parameters);
}

export function isAudited({ permanent }: Machine, code: number): boolean {
  return permanent.auditCommands.includes(code);
}

/** What stands for the digest while the command runs that changes the hash: of that command there is none (21.2.1). */
const RESTARTING = Uint8Array.of(0);

/** With another hash the next audited command begins a digest. */
export function restartAudit({ volatile }: Machine): void {
  volatile.commandAuditDigest = RESTARTING;
}

/** Part 1, 31.2: extends the digest of audited commands; the counter tells how many digests were begun. */
export function auditCommand(machine: Machine, context: CommandContext, parameters: Uint8Array): void {
  const { permanent, volatile } = machine;
  if (!isAudited(machine, context.command.code)) return;
  if (volatile.commandAuditDigest === RESTARTING) {
    volatile.commandAuditDigest = new Uint8Array(0);
    return;
  }
  if (volatile.commandAuditDigest.length === 0) {
    volatile.commandAuditDigest = zeros(permanent.auditAlg);
    permanent.auditCounter++;
    machine.changed();
  }
  volatile.commandAuditDigest = grown(permanent.auditAlg, volatile.commandAuditDigest, context, parameters);
}

/** Part 3, 18.6: H over the codes of the audited commands, ascending. */
export function auditedCommandsDigest({ permanent }: Machine): Uint8Array {
  return digest(permanent.auditAlg, ...permanent.auditCommands.map(handleName));
}

/** TPM2_SetCommandCodeAuditStatus itself is always audited, TPM2_Shutdown never (Part 3, 21.2). */
export function mayChangeAudit(code: number, isAuditedThen: boolean): boolean {
  return isAuditedThen ? code !== COMMANDS.TPM2_Shutdown.code : code !== COMMANDS.TPM2_SetCommandCodeAuditStatus.code;
}
