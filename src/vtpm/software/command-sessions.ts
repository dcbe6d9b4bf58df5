/** The sessions that come with a command (Part 1, 19; Part 3, 5.5; Part 4, SessionProcess.c: ParseSessionBuffer). */
import type { ByteReader } from '../../bytes/index.ts';
import {
  type AnyCommand,
  handleType,
  readAuthorization,
  TPM_HT,
  TPM_RC,
  TPM_RH,
  type TPMS_AUTH_COMMAND,
} from '../../tpm/index.ts';
import { checkAuthorization, checkHmac, isBoundTo } from './authorization.ts';
import { checkLockedOut } from './dictionary-attack.ts';
import { entity, sessionInSlot } from './entities.ts';
import type { Machine } from './machine.ts';
import { Refusal, refuse } from './refusal.ts';
import { type CommandContext, inSession, refuseSession, type Subject, type Use } from './session-use.ts';
import type { Session } from './state.ts';

/** An authorization, and the session that it names. */
type Opened = Pick<Use, 'area' | 'session'>;

/** Reads and checks every session. @throws {Refusal} */
export function useSessions(machine: Machine, area: ByteReader, context: CommandContext): Use[] {
  const { command } = context;
  if (!command.allowsSessions) refuse('AUTH_CONTEXT');
  const uses = associate(machine, openAll(machine, command, area), context);
  for (const use of uses) check(machine, use, uses, context);
  return uses;
}

/** Without sessions nothing is authorized. @throws {Refusal} `AUTH_MISSING` */
export function requireNoAuthorization({ handles }: AnyCommand): void {
  if (handles.some(({ auth }) => auth !== undefined)) refuse('AUTH_MISSING');
}

// --- reading (RetrieveSessionData) ------------------------------------------------------------------------------------

function openAll(machine: Machine, command: AnyCommand, area: ByteReader): Opened[] {
  const opened: Opened[] = [];
  while (area.remaining > 0) {
    const position = opened.length;
    const authorization = readAuthorization(area, position + 1);
    opened.push(
      authorization.sessionHandle === TPM_RH.PW
        ? openPassword(authorization, position)
        : openSession(machine, command, authorization, opened),
    );
  }
  return opened;
}

function openPassword(area: TPMS_AUTH_COMMAND, position: number): Opened {
  const { audit, decrypt, encrypt, auditExclusive, auditReset } = area.sessionAttributes;
  if (audit || decrypt || encrypt || auditExclusive || auditReset) refuseSession('ATTRIBUTES', position);
  if (area.nonce.length > 0) refuseSession('NONCE', position);
  return { area, session: undefined };
}

function openSession(
  machine: Machine,
  command: AnyCommand,
  area: TPMS_AUTH_COMMAND,
  before: readonly Opened[],
): Opened {
  const position = before.length;
  const { sessionHandle } = area;
  if (sessionInSlot(machine, sessionHandle) === undefined) throw new Refusal(TPM_RC.REFERENCE_S0 + position);
  const session = machine.volatile.sessions.get(sessionHandle);
  const isUsedTwice = before.some((other) => other.area.sessionHandle === sessionHandle);
  if (session === undefined || isUsedTwice) return refuseSession('HANDLE', position);
  const opened = { area, session };
  for (const purpose of ['decrypt', 'encrypt', 'audit'] as const) {
    if (!area.sessionAttributes[purpose]) continue;
    const isTaken = before.some((other) => other.area.sessionAttributes[purpose]);
    if (isTaken) refuseSession('ATTRIBUTES', position);
    if (purpose === 'audit') checkAudit(machine, opened, position);
    else checkEncryption(command, session, purpose, position);
  }
  return opened;
}

/** Part 1, 21.2: only a TPM2B that comes first is encrypted, and only by a session that has a cipher. */
function checkEncryption(
  command: AnyCommand,
  { symmetric }: Session,
  purpose: 'decrypt' | 'encrypt',
  position: number,
): void {
  const isPossible = purpose === 'decrypt' ? command.encryptable.command : command.encryptable.response;
  if (!isPossible) refuseSession('ATTRIBUTES', position);
  if (symmetric.algorithm === 'null') refuseSession('SYMMETRIC', position);
}

/** Part 1, 31.3.3: a session that asks to be the only one that audits must have been so since it began. */
function checkAudit(
  { volatile }: Machine,
  { area, session }: { area: TPMS_AUTH_COMMAND; session: Session },
  position: number,
): void {
  const { auditExclusive, auditReset } = area.sessionAttributes;
  if (handleType(area.sessionHandle) === TPM_HT.POLICY_SESSION) refuseSession('ATTRIBUTES', position);
  const goesOn = session.isAudit && !auditReset;
  if (goesOn && auditExclusive && volatile.exclusiveSession !== area.sessionHandle) refuse('EXCLUSIVE');
}

// --- whom they authorize ----------------------------------------------------------------------------------------------

/** The first sessions authorize the handles that need it, in their order. */
function associate(machine: Machine, opened: readonly Opened[], { command, handles }: CommandContext): Use[] {
  const needed = command.handles.filter(({ auth }) => auth !== undefined).length;
  if (opened.length < needed) refuse('AUTH_MISSING');
  return opened.map(({ area, session }, position) => {
    const role = command.handles[position]?.auth;
    const handle = handles[position];
    const subject = role === undefined || handle === undefined ? undefined : { ...entity(machine, handle), role };
    return { area, session, subject, position, includesAuth: includesAuth(session, subject) };
  });
}

function includesAuth(session: Session | undefined, subject: Subject | undefined): boolean {
  if (subject === undefined) return false;
  if (session === undefined) return true;
  if (session.type === 'hmac') return !isBoundTo(session, subject);
  return session.isAuthValueNeeded || session.isPasswordNeeded;
}

function check(machine: Machine, use: Use, uses: readonly Use[], context: CommandContext): void {
  const { area, session, subject, position } = use;
  if (session === undefined && subject === undefined) refuseSession('HANDLE', position);
  if (session?.type === 'trial') refuseSession('ATTRIBUTES', position);
  if (session?.isDaBound) checkLockedOut(machine, session.isLockoutBound);
  if (subject !== undefined) {
    inSession(position, () => checkAuthorization(machine, { ...use, subject }, uses, context));
    return;
  }
  // A session that authorizes nothing has to do something else
  const { decrypt, encrypt, audit } = area.sessionAttributes;
  if (!decrypt && !encrypt && !audit) refuseSession('ATTRIBUTES', position);
  if (session !== undefined) inSession(position, () => checkHmac(machine, { ...use, session }, uses, context));
}
