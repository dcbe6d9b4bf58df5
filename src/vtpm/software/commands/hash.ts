/** Hashes and HMACs, of one buffer and of many: TPM 2.0 Part 3, 15 and 17. */
import { createHmac } from 'node:crypto';
import { digest, digestInfo } from '../../../bytes/index.ts';
import { TPM_RH, type TPMI_ALG_HASH_NULL, trimAuth } from '../../../tpm/index.ts';
import type { Handlers } from '../handler.ts';
import { isImplementedHash } from '../limits.ts';
import type { Machine } from '../machine.ts';
import { addSequence, requireSlot } from '../object-creation.ts';
import { extendPcr, mayExtend } from '../pcr-banks.ts';
import { refuse } from '../refusal.ts';
import {
  eventSequence,
  hashSequence,
  hmacSequence,
  looksGenerated,
  type Sequence,
  updateSequence,
} from '../sequence.ts';
import { hashTicket } from '../tickets.ts';

/** The key and hash of an HMAC, as the command and the key's scheme choose it. */
function hmacOf(machine: Machine, handle: number, hashAlg: TPMI_ALG_HASH_NULL) {
  const { publicArea, sensitive } = machine.object(handle);
  if (publicArea.type !== 'keyedhash' || sensitive?.sensitiveType !== 'keyedhash') return refuse('TYPE', 'handle');
  if (publicArea.objectAttributes.restricted) refuse('ATTRIBUTES', 'handle');
  if (!publicArea.objectAttributes.sign) refuse('KEY', 'handle');
  const { scheme } = publicArea.parameters;
  const own = scheme.scheme === 'hmac' ? scheme.hashAlg : undefined;
  const algorithm = own ?? (hashAlg === 'null' ? refuse('VALUE', 'hashAlg') : hashAlg);
  if (own !== undefined && hashAlg !== 'null' && hashAlg !== own) refuse('VALUE', 'hashAlg');
  if (!isImplementedHash(algorithm)) return refuse('HASH', 'hashAlg');
  return { algorithm, key: sensitive.sensitive };
}

function sequenceOf(machine: Machine, handle: number): Sequence {
  return machine.volatile.sequences.get(handle) ?? refuse('MODE', 'sequenceHandle');
}

const NONE = new Uint8Array(0);

export const hash = {
  /** 15.4 */
  TPM2_Hash(machine, { data, hashAlg, hierarchy }) {
    if (!isImplementedHash(hashAlg)) return refuse('HASH', 'hashAlg');
    const outHash = digest(hashAlg, data);
    const vouching = looksGenerated(data) ? TPM_RH.NULL : hierarchy;
    return { outHash, validation: hashTicket(machine, vouching, hashAlg, outHash) };
  },

  /** 15.5 */
  TPM2_HMAC(machine, { handle, buffer, hashAlg }) {
    const { algorithm, key } = hmacOf(machine, handle, hashAlg);
    return { outHMAC: createHmac(digestInfo(algorithm).opensslName, key).update(buffer).digest() };
  },

  /** 17.2 */
  TPM2_HMAC_Start(machine, { handle, auth, hashAlg }) {
    requireSlot(machine);
    const { algorithm, key } = hmacOf(machine, handle, hashAlg);
    return { sequenceHandle: addSequence(machine, hmacSequence(trimAuth(auth), algorithm, key)) };
  },

  /** 17.4: without a hash it is for an event, with all of them. */
  TPM2_HashSequenceStart(machine, { auth, hashAlg }) {
    const authValue = trimAuth(auth);
    if (hashAlg === 'null') return { sequenceHandle: addSequence(machine, eventSequence(authValue)) };
    if (!isImplementedHash(hashAlg)) return refuse('HASH', 'hashAlg');
    return { sequenceHandle: addSequence(machine, hashSequence(authValue, hashAlg)) };
  },

  /** 17.5 */
  TPM2_SequenceUpdate(machine, { sequenceHandle, buffer }) {
    updateSequence(sequenceOf(machine, sequenceHandle), buffer);
    return {};
  },

  /** 17.6 */
  TPM2_SequenceComplete(machine, { sequenceHandle, buffer, hierarchy }) {
    const sequence = sequenceOf(machine, sequenceHandle);
    if (sequence.kind === 'event') return refuse('MODE', 'sequenceHandle');
    updateSequence(sequence, buffer);
    machine.flush(sequenceHandle);
    const result = sequence.state.digest();
    if (sequence.kind === 'hmac')
      return { result, validation: { tag: 'hashcheck', hierarchy: TPM_RH.NULL, digest: NONE } };
    const vouching = sequence.isSafe ? hierarchy : TPM_RH.NULL;
    return { result, validation: hashTicket(machine, vouching, sequence.hashAlg, result) };
  },

  /** 17.7 */
  TPM2_EventSequenceComplete(machine, { pcrHandle, sequenceHandle, buffer }, { locality }) {
    const sequence = sequenceOf(machine, sequenceHandle);
    if (sequence.kind !== 'event') return refuse('MODE', 'sequenceHandle');
    const isExtended = pcrHandle !== TPM_RH.NULL;
    if (isExtended && !mayExtend(pcrHandle, locality)) refuse('LOCALITY');
    updateSequence(sequence, buffer);
    machine.flush(sequenceHandle);
    const results = sequence.states.map(({ hashAlg, state }) => ({ hashAlg, digest: state.digest() }));
    if (isExtended) {
      for (const { hashAlg, digest: value } of results) extendPcr(machine, hashAlg, pcrHandle, value);
    }
    return { results };
  },
} satisfies Handlers;
