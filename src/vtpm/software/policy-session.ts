/** How policy commands change a session's digest (Part 1, 19.7; Part 4, Policy_spt.c). */
import { bytesEqual, digest, digestInfo } from '../../bytes/index.ts';
import { COMMANDS, type CommandName, handleName } from '../../tpm/index.ts';
import type { Machine } from './machine.ts';
import { refuse } from './refusal.ts';
import type { Session } from './state.ts';

export function commandCode(name: CommandName): Uint8Array {
  return handleName(COMMANDS[name].code);
}

/** policyDigest ← H(policyDigest ‖ commandCode ‖ parts) */
export function extendPolicy(session: Session, name: CommandName, ...parts: readonly Uint8Array[]): void {
  session.policyDigest = digest(session.authHash, session.policyDigest, commandCode(name), ...parts);
}

/** PolicyUpdate (Part 3, 23.2.3): the entity's Name, and then the reference in a digest of its own. */
export function updatePolicy(session: Session, name: CommandName, entityName: Uint8Array, policyRef: Uint8Array): void {
  extendPolicy(session, name, entityName);
  session.policyDigest = digest(session.authHash, session.policyDigest, policyRef);
}

export function resetPolicyDigest(session: Session): void {
  session.policyDigest = new Uint8Array(digestInfo(session.authHash).size);
}

/** A policy asks for one hash of what the command is: of its parameters, of its Names, or of the template in it. */
export function setHash(session: Session, kind: 'cpHash' | 'nameHash' | 'templateHash', hash: Uint8Array): void {
  session.cpHashKind = kind;
  session.cpHash = hash;
}

/** Whether the policy asks for this hash already. */
export function isSetHash(session: Session, kind: Session['cpHashKind'], hash: Uint8Array): boolean {
  return session.cpHashKind === kind && bytesEqual(session.cpHash, hash);
}

/** @throws {Refusal} `SIZE` where a digest has another length than the session's hash gives */
export function checkDigestSize(session: Session, hash: Uint8Array, field: string): void {
  if (hash.length !== digestInfo(session.authHash).size) refuse('SIZE', field);
}

/** From when time-outs count: the time of the nonce that the session has. */
export function startTime({ permanent, volatile }: Machine) {
  return { startTime: volatile.time, timeEpoch: permanent.timeEpoch } as const satisfies Partial<Session>;
}

/** What a policy session begins with, and goes back to by TPM2_PolicyRestart and after it has authorized a command. */
export function freshPolicy(authHash: Session['authHash']) {
  return {
    policyDigest: new Uint8Array(digestInfo(authHash).size),
    commandCode: 0,
    cpHashKind: 'none',
    cpHash: new Uint8Array(0),
    pcrUpdateCounter: 0,
    isAuthValueNeeded: false,
    isPasswordNeeded: false,
    isPhysicalPresenceNeeded: false,
    timeout: 0n,
    locality: 0,
    nvWritten: 'unchecked',
  } as const satisfies Partial<Session>;
}
