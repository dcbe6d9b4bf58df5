/** Policies about state: TPM 2.0 Part 3, 23.6 to 23.21. */
import { bytesEqual, digest } from '../../../bytes/index.ts';
import {
  COMMANDS,
  encode,
  handleName,
  type RequestOf,
  TPM_EO,
  type TPM2_PolicyNV,
  TPMA_LOCALITY,
  TPMI_YES_NO,
  TPML_PCR_SELECTION,
  TPMS_TIME_INFO,
  uint8,
  uint16,
} from '../../../tpm/index.ts';
import { timeInfo } from '../clock.ts';
import { entity } from '../entities.ts';
import type { Handlers } from '../handler.ts';
import { IMPLEMENTED } from '../implemented.ts';
import { readAllowed } from '../nv-access.ts';
import { pcrDigestOf } from '../pcr-digest.ts';
import { checkDigestSize, extendPolicy, isSetHash, resetPolicyDigest, setHash } from '../policy-session.ts';
import { refuse } from '../refusal.ts';

type Operation = RequestOf<typeof TPM2_PolicyNV>['operation'];

const signOf = (value: bigint): number => (value > 0n ? 1 : value < 0n ? -1 : 0);

/**
 * Signed comparison as the reference code does it (Part 4, MathOnByteBuffers.c, SignedCompareB), and so every TPM that grew
 * from it: two numbers with their sign bits set are compared the other way round, by magnitude. Two's complement would not.
 */
function signedOrder(left: bigint, right: bigint, bits: number): number {
  const [isLeftNegative, isRightNegative] = [left, right].map((value) => BigInt.asIntN(bits, value) < 0n);
  if (isLeftNegative !== isRightNegative) return isLeftNegative ? -1 : 1;
  return isLeftNegative ? signOf(right - left) : signOf(left - right);
}

/** Part 2, 6.11: big-endian numbers. */
function compare(a: Uint8Array, b: Uint8Array, operation: Operation): boolean {
  const [left, right] = [a, b].map((bytes) => BigInt(`0x${Buffer.from(bytes).toString('hex') || '0'}`));
  if (left === undefined || right === undefined) return false;
  const order = signedOrder(left, right, a.length * 8);
  switch (operation) {
    case 'eq':
      return left === right;
    case 'neq':
      return left !== right;
    case 'unsigned_gt':
      return left > right;
    case 'unsigned_lt':
      return left < right;
    case 'unsigned_ge':
      return left >= right;
    case 'unsigned_le':
      return left <= right;
    case 'signed_gt':
      return order > 0;
    case 'signed_lt':
      return order < 0;
    case 'signed_ge':
      return order >= 0;
    case 'signed_le':
      return order <= 0;
    case 'bitset':
      return (left & right) === right;
    case 'bitclear':
      return (left & right) === 0n;
  }
}

/** What two localities of a policy leave: bits for 0–4, or one number above 31. 0 for nothing. */
function commonLocality(a: number, b: number): number {
  if (a > 31 || b > 31) return a === b ? a : 0;
  return a & b;
}

export const policy = {
  /** 23.6 */
  TPM2_PolicyOR(machine, { policySession, pHashList }) {
    const session = machine.session(policySession);
    const isListed = pHashList.some((hash) => bytesEqual(hash, session.policyDigest));
    if (session.type !== 'trial' && !isListed) refuse('VALUE', 'pHashList');
    resetPolicyDigest(session);
    extendPolicy(session, 'TPM2_PolicyOR', ...pHashList);
    return {};
  },

  /** 23.7 */
  TPM2_PolicyPCR(machine, { policySession, pcrDigest, pcrs }) {
    const session = machine.session(policySession);
    const { selection, pcrDigest: current } = pcrDigestOf(machine, session.authHash, pcrs);
    let used: Uint8Array = current;
    if (session.type === 'trial') {
      if (pcrDigest.length > 0) used = pcrDigest;
    } else {
      const { pcrUpdateCounter } = machine.volatile;
      if (session.pcrUpdateCounter !== 0 && session.pcrUpdateCounter !== pcrUpdateCounter) refuse('PCR_CHANGED');
      if (pcrDigest.length > 0 && !bytesEqual(pcrDigest, current)) refuse('VALUE', 'pcrDigest');
      session.pcrUpdateCounter = pcrUpdateCounter;
    }
    extendPolicy(session, 'TPM2_PolicyPCR', encode(TPML_PCR_SELECTION, selection), used);
    return {};
  },

  /** 23.8 */
  TPM2_PolicyLocality(machine, { policySession, locality }) {
    const session = machine.session(policySession);
    const asked = TPMA_LOCALITY.toNumber(locality);
    const both = session.locality === 0 ? asked : commonLocality(asked, session.locality);
    if (both === 0) refuse('RANGE', 'locality');
    session.locality = both;
    extendPolicy(session, 'TPM2_PolicyLocality', encode(uint8, asked));
    return {};
  },

  /** 23.9 */
  TPM2_PolicyNV(machine, { authHandle, nvIndex, policySession, operandB, offset, operation }) {
    const session = machine.session(policySession);
    const index = machine.nvIndex(nvIndex);
    if (session.type !== 'trial') {
      readAllowed(index, authHandle);
      if (offset > index.data.length) refuse('VALUE', 'offset');
      if (operandB.length > index.data.length - offset) refuse('SIZE', 'operandB');
      const held = index.data.subarray(offset, offset + operandB.length);
      if (!compare(held, operandB, operation)) refuse('POLICY');
    }
    const operationBytes = encode(TPM_EO, operation);
    const args = digest(session.authHash, operandB, encode(uint16, offset), operationBytes);
    extendPolicy(session, 'TPM2_PolicyNV', args, entity(machine, nvIndex).name);
    return {};
  },

  /** 23.10: the operand is compared with a part of the marshalled TPMS_TIME_INFO. */
  TPM2_PolicyCounterTimer(machine, { policySession, operandB, offset, operation }) {
    const session = machine.session(policySession);
    const info = encode(TPMS_TIME_INFO, timeInfo(machine));
    if (offset > info.length) refuse('VALUE', 'offset');
    if (operandB.length > info.length - offset) refuse('RANGE');
    const held = info.subarray(offset, offset + operandB.length);
    if (session.type !== 'trial' && !compare(held, operandB, operation)) refuse('POLICY');
    const args = digest(session.authHash, operandB, encode(uint16, offset), encode(TPM_EO, operation));
    extendPolicy(session, 'TPM2_PolicyCounterTimer', args);
    return {};
  },

  /** 23.11 */
  TPM2_PolicyCommandCode(machine, { policySession, code }) {
    const session = machine.session(policySession);
    if (session.commandCode !== 0 && session.commandCode !== code) refuse('VALUE', 'code');
    if (!IMPLEMENTED.has(code)) refuse('POLICY_CC', 'code');
    extendPolicy(session, 'TPM2_PolicyCommandCode', handleName(code));
    session.commandCode = code;
    return {};
  },

  /** 23.12 */
  TPM2_PolicyPhysicalPresence(machine, { policySession }) {
    const session = machine.session(policySession);
    extendPolicy(session, 'TPM2_PolicyPhysicalPresence');
    session.isPhysicalPresenceNeeded = true;
    return {};
  },

  /** 23.13 */
  TPM2_PolicyCpHash(machine, { policySession, cpHashA }) {
    const session = machine.session(policySession);
    checkDigestSize(session, cpHashA, 'cpHashA');
    if (session.cpHashKind !== 'none' && !isSetHash(session, 'cpHash', cpHashA)) refuse('CPHASH');
    setHash(session, 'cpHash', cpHashA);
    extendPolicy(session, 'TPM2_PolicyCpHash', cpHashA);
    return {};
  },

  /** 23.14 */
  TPM2_PolicyNameHash(machine, { policySession, nameHash }) {
    const session = machine.session(policySession);
    checkDigestSize(session, nameHash, 'nameHash');
    if (session.cpHashKind !== 'none') refuse('CPHASH');
    setHash(session, 'nameHash', nameHash);
    extendPolicy(session, 'TPM2_PolicyNameHash', nameHash);
    return {};
  },

  /** 23.15 */
  TPM2_PolicyDuplicationSelect(machine, { policySession, objectName, newParentName, includeObject }) {
    const session = machine.session(policySession);
    if (session.cpHashKind !== 'none') refuse('CPHASH');
    if (session.commandCode !== 0) refuse('COMMAND_CODE');
    setHash(session, 'nameHash', digest(session.authHash, objectName, newParentName));
    const included = includeObject ? [objectName] : [];
    extendPolicy(
      session,
      'TPM2_PolicyDuplicationSelect',
      ...included,
      newParentName,
      encode(TPMI_YES_NO, includeObject),
    );
    session.commandCode = COMMANDS.TPM2_Duplicate.code;
    return {};
  },

  /** 23.17 */
  TPM2_PolicyAuthValue(machine, { policySession }) {
    const session = machine.session(policySession);
    extendPolicy(session, 'TPM2_PolicyAuthValue');
    session.isAuthValueNeeded = true;
    session.isPasswordNeeded = false;
    return {};
  },

  /** 23.18: the same digest as TPM2_PolicyAuthValue. */
  TPM2_PolicyPassword(machine, { policySession }) {
    const session = machine.session(policySession);
    extendPolicy(session, 'TPM2_PolicyAuthValue');
    session.isPasswordNeeded = true;
    session.isAuthValueNeeded = false;
    return {};
  },

  /** 23.19 */
  TPM2_PolicyGetDigest: (machine, { policySession }) => ({ policyDigest: machine.session(policySession).policyDigest }),

  /** 23.20 */
  TPM2_PolicyNvWritten(machine, { policySession, writtenSet }) {
    const session = machine.session(policySession);
    const asked = writtenSet ? 'written' : 'unwritten';
    if (session.nvWritten !== 'unchecked' && session.nvWritten !== asked) refuse('VALUE', 'writtenSet');
    extendPolicy(session, 'TPM2_PolicyNvWritten', encode(TPMI_YES_NO, writtenSet));
    session.nvWritten = asked;
    return {};
  },

  /** 23.21 */
  TPM2_PolicyTemplate(machine, { policySession, templateHash }) {
    const session = machine.session(policySession);
    if (session.cpHashKind === 'templateHash') {
      if (!isSetHash(session, 'templateHash', templateHash)) refuse('VALUE', 'templateHash');
    } else if (session.cpHashKind !== 'none') refuse('CPHASH');
    checkDigestSize(session, templateHash, 'templateHash');
    setHash(session, 'templateHash', templateHash);
    extendPolicy(session, 'TPM2_PolicyTemplate', templateHash);
    return {};
  },
} satisfies Handlers;
