/** A session, or a password, as one command uses it. */
import type { AnyCommand, AuthRole, ResponseCodeName, TPMS_AUTH_COMMAND } from '../../tpm/index.ts';
import { rcWith, TPM_RC } from '../../tpm/index.ts';
import { type Entity, entity } from './entities.ts';
import type { Machine } from './machine.ts';
import { Refusal } from './refusal.ts';
import type { Session } from './state.ts';

export interface Subject extends Entity {
  readonly role: AuthRole;
}

export interface Use {
  readonly area: TPMS_AUTH_COMMAND;
  /** Undefined for a password. */
  readonly session: Session | undefined;
  /** What it authorizes; undefined where it only encrypts or audits. */
  readonly subject: Subject | undefined;
  /** Whether the subject's authorization value is proven: in the key of the HMAC, or as the password. */
  readonly includesAuth: boolean;
  /** Counted from 0. */
  readonly position: number;
}

/** The command in hand, as digests over it need it. */
export interface CommandContext {
  readonly command: AnyCommand;
  readonly handles: readonly number[];
  /** Of what the handles stood for when the command came. */
  readonly names: readonly Uint8Array[];
  /** As they came: still encrypted where a session does that. */
  readonly parameters: Uint8Array;
  readonly locality: number;
}

export function refuseSession(name: ResponseCodeName, position: number): never {
  throw new Refusal(rcWith(TPM_RC[name], { kind: 'session', number: position + 1 }));
}

/** Gives a refusal the number of the session, as far as its code has room for one. */
export function inSession<T>(position: number, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new Refusal(rcWith(error.rc, { kind: 'session', number: position + 1 }));
  }
}

/**
 * The subject's authorization value after the command, which may have changed it or removed what it belonged to. Of an
 * index that TPM2_NV_UndefineSpaceSpecial removed nothing is left (Part 3, 31.5.1).
 */
export function authValueNow(machine: Machine, subject: Entity | undefined): Uint8Array {
  if (subject === undefined) return new Uint8Array(0);
  try {
    return entity(machine, subject.handle).authValue;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return subject.nvIndex === undefined ? subject.authValue : new Uint8Array(0);
  }
}
