/** What the sessions of a command answer (Part 1, 19.6; Part 4, SessionProcess.c: BuildResponseSession). */
import { rpHash, sessionHmac, TPM_RC, type TPMS_AUTH_RESPONSE } from '../../tpm/index.ts';
import { auditCommand, auditSessions } from './audit.ts';
import type { Machine } from './machine.ts';
import { encryptFirst } from './parameter-encryption.ts';
import { freshPolicy, startTime } from './policy-session.ts';
import { authValueNow, type CommandContext, type Use } from './session-use.ts';

export interface AuthorizedResponse {
  readonly parameters: Uint8Array;
  readonly authorizations: readonly TPMS_AUTH_RESPONSE[];
}

const NONE = new Uint8Array(0);

/** New nonces, the first parameter encrypted, audits, HMACs over it all; sessions that shall not continue end. */
export function answerSessions(
  machine: Machine,
  uses: readonly Use[],
  context: CommandContext,
  plain: Uint8Array,
): AuthorizedResponse {
  for (const { session } of uses) {
    if (session !== undefined) session.nonceTPM = machine.random(session.nonceTPM.length);
  }
  const parameters = encryptFirst(machine, uses, plain);
  auditSessions(machine, uses, context, parameters);
  auditCommand(machine, context, parameters);
  const authorizations = uses.map((use) => answerUse(machine, use, context, parameters));
  for (const { session, area } of uses) {
    if (session !== undefined && !area.sessionAttributes.continueSession) {
      machine.volatile.sessions.delete(session.handle);
    }
  }
  return { parameters, authorizations };
}

function answerUse(
  machine: Machine,
  use: Use,
  { command }: CommandContext,
  parameters: Uint8Array,
): TPMS_AUTH_RESPONSE {
  const { area, session, subject, includesAuth } = use;
  if (session === undefined) return { nonce: NONE, sessionAttributes: { continueSession: true }, hmac: NONE };
  const { auditExclusive: _, ...asked } = area.sessionAttributes;
  const isExclusive = asked.audit === true && machine.volatile.exclusiveSession === session.handle;
  const sessionAttributes = isExclusive ? { ...asked, auditExclusive: true } : asked;
  const nonce = session.nonceTPM;
  const key = Buffer.concat([session.sessionKey, includesAuth ? authValueNow(machine, subject) : NONE]);
  const isUnkeyed = key.length === 0 && area.hmac.length === 0;
  const hmac =
    isUnkeyed || session.isPasswordNeeded
      ? NONE
      : sessionHmac({
          authHash: session.authHash,
          key,
          pHash: rpHash(session.authHash, TPM_RC.SUCCESS, command.code, parameters),
          nonceNewer: nonce,
          nonceOlder: area.nonce,
          attributes: sessionAttributes,
        });
  // A policy is good for one command: with the next nonce it begins again
  if (session.type !== 'hmac') Object.assign(session, freshPolicy(session.authHash), startTime(machine));
  return { nonce, sessionAttributes, hmac };
}
