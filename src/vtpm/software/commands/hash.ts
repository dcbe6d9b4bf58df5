/** Hashes and MACs, of one buffer and of many: TPM 2.0 Part 3, 15.4 to 15.6 and 17. */
import { digest } from '../../../bytes/index.ts';
import { type RequestOf, TPM_RH, type TPM2_HMAC, type TPMT_TK_HASHCHECK, trimAuth } from '../../../tpm/index.ts';
import type { Handlers } from '../handler.ts';
import { finishHash } from '../hash-state.ts';
import { isImplementedHash } from '../limits.ts';
import type { Machine } from '../machine.ts';
import { extendPcr, mayExtend, pcrAttributes } from '../pcr-banks.ts';
import { refuse } from '../refusal.ts';
import {
  cmacSequence,
  eventSequence,
  finishSequence,
  hashSequence,
  hmacSequence,
  looksGenerated,
  type Sequence,
  updateSequence,
} from '../sequence.ts';
import { addSequence } from '../slots.ts';
import type { LoadedObject } from '../state.ts';
import { cipherOf } from '../symmetric.ts';
import { hashTicket } from '../tickets.ts';

const NONE = new Uint8Array(0);

type MacScheme = RequestOf<typeof TPM2_HMAC>['hashAlg'];

/** What the key says of the scheme: the hash of HMAC, the mode of a cipher; undefined where it leaves it open. */
function ownScheme({ publicArea }: LoadedObject): string | undefined {
  if (publicArea.type === 'symcipher') return publicArea.parameters.sym.mode;
  if (publicArea.type !== 'keyedhash') return refuse('TYPE', 'handle');
  const { scheme } = publicArea.parameters;
  return 'hashAlg' in scheme ? scheme.hashAlg : 'null';
}

/** Part 4, CryptSelectMac: the key's scheme, or the caller's where the key leaves it open. */
function selectMac(key: LoadedObject, asked: MacScheme): string {
  const own = ownScheme(key);
  if (asked === 'null') return own === undefined || own === 'null' ? refuse('VALUE', 'hashAlg') : own;
  if (own !== 'null' && own !== asked) refuse('VALUE', 'hashAlg');
  return asked;
}

/** A MAC that the key begins. @throws {Refusal} about the scheme first, then about the key */
function startMac(machine: Machine, handle: number, asked: MacScheme, authValue: Uint8Array): Sequence {
  if (machine.isSequence(handle)) refuse('TYPE', 'handle');
  const key = machine.object(handle);
  const scheme = selectMac(key, asked);
  const { publicArea, sensitive } = key;
  const isFitting = publicArea.type === 'symcipher' ? scheme === 'cmac' : isImplementedHash(scheme);
  if (!isFitting) refuse('SCHEME', 'hashAlg');
  const { restricted, sign } = publicArea.objectAttributes;
  if (restricted) refuse('ATTRIBUTES', 'handle');
  if (!sign || sensitive === undefined) return refuse('KEY', 'handle');
  if (publicArea.type === 'symcipher') {
    const cipher = cipherOf(publicArea.parameters.sym) ?? refuse('SYMMETRIC', 'handle');
    return cmacSequence(authValue, cipher, sensitive.sensitive);
  }
  return isImplementedHash(scheme) ? hmacSequence(authValue, scheme, sensitive.sensitive) : refuse('SCHEME', 'hashAlg');
}

function finished(sequence: Sequence): Uint8Array {
  return sequence.kind === 'event' ? refuse('MODE') : finishSequence(sequence);
}

function sequenceOf(machine: Machine, handle: number): Sequence {
  return machine.volatile.sequences.get(handle) ?? refuse('MODE', 'sequenceHandle');
}

const NO_TICKET: TPMT_TK_HASHCHECK = { tag: 'hashcheck', hierarchy: TPM_RH.NULL, digest: NONE };

export const hash = {
  /** 15.4 */
  TPM2_Hash(machine, { data, hashAlg, hierarchy }) {
    const outHash = digest(hashAlg, data);
    const validation = looksGenerated(data) ? NO_TICKET : hashTicket(machine, hierarchy, hashAlg, outHash);
    return { outHash, validation };
  },

  /** 15.5 and 15.6 */
  TPM2_HMAC(machine, { handle, buffer, hashAlg }) {
    return { outHMAC: finished(updateSequence(startMac(machine, handle, hashAlg, NONE), buffer)) };
  },

  /** 17.2 and 17.3 */
  TPM2_HMAC_Start(machine, { handle, auth, hashAlg }) {
    return { sequenceHandle: addSequence(machine, startMac(machine, handle, hashAlg, trimAuth(auth))) };
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
    const updated = updateSequence(sequenceOf(machine, sequenceHandle), buffer);
    machine.volatile.sequences.set(sequenceHandle, updated);
    return {};
  },

  /** 17.6 */
  TPM2_SequenceComplete(machine, { sequenceHandle, buffer, hierarchy }) {
    const started = sequenceOf(machine, sequenceHandle);
    if (started.kind === 'event') return refuse('MODE', 'sequenceHandle');
    const sequence = updateSequence(started, buffer);
    const result = finished(sequence);
    machine.flush(sequenceHandle);
    if (sequence.kind !== 'hash' || sequence.safety !== 'safe') return { result, validation: NO_TICKET };
    return { result, validation: hashTicket(machine, hierarchy, sequence.state.hashAlg, result) };
  },

  /** 17.7 */
  TPM2_EventSequenceComplete(machine, { pcrHandle, sequenceHandle, buffer }, { locality }) {
    const started = sequenceOf(machine, sequenceHandle);
    if (started.kind !== 'event') return refuse('MODE', 'sequenceHandle');
    const isExtended = pcrHandle !== TPM_RH.NULL;
    if (isExtended) {
      if (!mayExtend(pcrHandle, locality)) refuse('LOCALITY');
      if (pcrAttributes(pcrHandle).isSaved) machine.clearOrderly();
    }
    const sequence = updateSequence(started, buffer);
    const states = sequence.kind === 'event' ? sequence.states : [];
    const results = states.map((state) => ({ hashAlg: state.hashAlg, digest: finishHash(state) }));
    for (const { hashAlg, digest: value } of isExtended ? results : []) extendPcr(machine, hashAlg, pcrHandle, value);
    machine.flush(sequenceHandle);
    return { results };
  },
} satisfies Handlers;
