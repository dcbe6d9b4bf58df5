/** Does a policy session allow this command on this entity (Part 1, 19.7.8; Part 4, CheckPolicyAuthSession)? */
import { ByteReader, bytesEqual, digest } from '../../bytes/index.ts';
import { cpHash } from '../../tpm/index.ts';
import type { Machine } from './machine.ts';
import { hasLocality } from './pcr-banks.ts';
import { refuse } from './refusal.ts';
import type { CommandContext, Subject } from './session-use.ts';
import type { Session } from './state.ts';

/** @throws {Refusal} `POLICY_FAIL` and its like */
export function checkPolicy(machine: Machine, session: Session, subject: Subject, context: CommandContext): void {
  const { command, locality } = context;
  // What the secret proves cannot be proven by a policy that does not ask for it
  const asksForValue = session.isPasswordNeeded || session.isAuthValueNeeded;
  if (command.name === 'TPM2_PolicySecret' && !asksForValue) refuse('MODE');
  const isPcrCurrent = session.pcrUpdateCounter === 0 || session.pcrUpdateCounter === machine.volatile.pcrUpdateCounter;
  if (!isPcrCurrent) refuse('PCR_CHANGED');
  if (!bytesEqual(session.policyDigest, subject.policy.digest)) refuse('POLICY_FAIL');
  if (subject.policy.hashAlg !== session.authHash) refuse('POLICY_FAIL');
  if (isExpired(machine, session)) refuse('EXPIRED');
  if (session.commandCode !== 0) {
    if (session.commandCode !== command.code) refuse('POLICY_CC');
  } else if (subject.role !== 'user') refuse('POLICY_FAIL');
  if (!allowsLocality(session.locality, locality)) refuse('LOCALITY');
  if (session.isPhysicalPresenceNeeded && !machine.isPhysicallyPresent) refuse('PP');
  if (!matchesHash(session, context)) refuse('POLICY_FAIL');
  if (session.nvWritten !== 'unchecked') {
    const { nvIndex } = subject;
    const isWritten = nvIndex?.publicArea.attributes.written === true;
    if (nvIndex === undefined || isWritten !== (session.nvWritten === 'written')) refuse('POLICY_FAIL');
  }
}

function isExpired(machine: Machine, { timeout, timeEpoch }: Session): boolean {
  if (timeout === 0n) return false;
  return timeout < machine.volatile.time || timeEpoch !== machine.permanent.timeEpoch;
}

/** TPMA_LOCALITY: bits for 0–4, the number itself above. */
function allowsLocality(allowed: number, locality: number): boolean {
  if (allowed === 0) return true;
  return allowed > 31 ? allowed === locality : hasLocality(allowed, locality);
}

function matchesHash(session: Session, context: CommandContext): boolean {
  const { command, names, parameters } = context;
  switch (session.cpHashKind) {
    case 'none':
      return true;
    case 'cpHash':
      return bytesEqual(session.cpHash, cpHash(session.authHash, command.code, names, parameters));
    case 'nameHash':
      return bytesEqual(session.cpHash, digest(session.authHash, ...names));
    case 'templateHash': {
      const template = templateOf(context);
      return template !== undefined && bytesEqual(session.cpHash, digest(session.authHash, template));
    }
  }
}

/** What the command creates is described by its second parameter, a TPM2B; undefined for other commands. */
function templateOf({ command, parameters }: CommandContext): Uint8Array | undefined {
  if (!['TPM2_Create', 'TPM2_CreatePrimary', 'TPM2_CreateLoaded'].includes(command.name)) return undefined;
  try {
    const reader = new ByteReader(parameters);
    reader.bytes(reader.u16be('inSensitive'), 'inSensitive');
    return reader.bytes(reader.u16be('inPublic'), 'inPublic');
  } catch {
    return undefined; // the parameters are refused when they are read
  }
}
