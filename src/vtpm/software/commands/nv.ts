/** Non-volatile storage: TPM 2.0 Part 3, 31. */
import { digest, digestInfo } from '../../../bytes/index.ts';
import { nvName, TPM_NT, TPM_RH, type TPMS_NV_PUBLIC, trimAuth } from '../../../tpm/index.ts';
import { attest, signer } from '../attestation.ts';
import type { Handlers } from '../handler.ts';
import { MAX_NV_INDEX_SIZE, NV_BUFFER_MAX } from '../limits.ts';
import type { Machine } from '../machine.ts';
import { countOf, readAllowed, readAuthorized, removeIndex, setAttributes, writeAllowed } from '../nv-access.ts';
import { requireIndexSpace } from '../nv-memory.ts';
import { refuse } from '../refusal.ts';
import type { NvIndex } from '../state.ts';

const { ORDINARY, COUNTER, BITS, EXTEND, PIN_FAIL, PIN_PASS } = TPM_NT;
const TYPES: readonly number[] = [ORDINARY, COUNTER, BITS, EXTEND, PIN_FAIL, PIN_PASS];

const typeOf = ({ publicArea }: NvIndex): number => publicArea.attributes.nt ?? ORDINARY;

/** 31.3.1: the size that a type demands; undefined for ordinary data. */
function fixedSize(nt: number, nameAlg: TPMS_NV_PUBLIC['nameAlg']): number | undefined {
  if (nt === ORDINARY) return undefined;
  return nt === EXTEND ? digestInfo(nameAlg).size : 8;
}

/** 31.3.1, in the reference code's order. */
function checkDefinition(authHandle: number, area: TPMS_NV_PUBLIC): void {
  const { attributes, nameAlg, dataSize } = area;
  const refuseAttributes = (field = 'publicInfo'): never => refuse('ATTRIBUTES', field);
  const nt = attributes.nt ?? ORDINARY;
  if (!TYPES.includes(nt)) refuseAttributes();
  const size = fixedSize(nt, nameAlg);
  if (size !== undefined && dataSize !== size) refuse('SIZE', 'publicInfo');
  if (nt === COUNTER && attributes.clear_stclear) refuseAttributes();
  if (nt === PIN_FAIL && !attributes.no_da) refuseAttributes();
  const { authwrite, globallock, writedefine } = attributes;
  if ((nt === PIN_FAIL || nt === PIN_PASS) && (authwrite || globallock || writedefine)) refuseAttributes();
  if (attributes.written || attributes.readlocked || attributes.writelocked) refuseAttributes();
  const { ppread, ownerread, authread, policyread, ppwrite, ownerwrite, policywrite } = attributes;
  if (!ppread && !ownerread && !authread && !policyread) refuseAttributes();
  if (!ppwrite && !ownerwrite && !authwrite && !policywrite) refuseAttributes();
  if (attributes.clear_stclear && writedefine) refuseAttributes();
  const isPlatform = authHandle === TPM_RH.PLATFORM;
  if ((attributes.platformcreate === true) !== isPlatform) refuseAttributes('authHandle');
  if (attributes.policydelete && !isPlatform) refuseAttributes();
  if (attributes.writeall && dataSize > NV_BUFFER_MAX) refuse('SIZE', 'publicInfo');
}

/** The first write fills the rest: erased memory reads as ones, and orderly data is in other memory (Part 4, NvWriteIndexData). */
function contentsToWrite({ publicArea, data }: NvIndex): Buffer {
  const { written, orderly } = publicArea.attributes;
  return written ? Buffer.from(data) : Buffer.alloc(data.length, orderly ? 0 : 0xff);
}

function write(machine: Machine, index: NvIndex, data: Uint8Array): void {
  index.data = data;
  setAttributes(index, { written: true });
  if (index.publicArea.attributes.orderly) machine.clearOrderly();
  machine.changed();
}

function eightBytes(value: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt.asUintN(64, value));
  return bytes;
}

export const nv = {
  /** 31.3 */
  TPM2_NV_DefineSpace(machine, { authHandle, auth, publicInfo }) {
    const { nameAlg, authPolicy, nvIndex, dataSize } = publicInfo;
    // Of the structure itself (Part 2, 13.6)
    if (dataSize > MAX_NV_INDEX_SIZE) refuse('SIZE', 'publicInfo');
    const { size } = digestInfo(nameAlg);
    if (authPolicy.length > 0 && authPolicy.length !== size) refuse('SIZE', 'publicInfo');
    const authValue = trimAuth(auth);
    if (authValue.length > size) refuse('SIZE', 'auth');
    if (authHandle === TPM_RH.PLATFORM && !machine.volatile.isPlatformNvEnabled) refuse('HIERARCHY', 'authHandle');
    checkDefinition(authHandle, publicInfo);
    if (machine.permanent.nvIndices.has(nvIndex)) refuse('NV_DEFINED');
    requireIndexSpace(machine, { publicArea: publicInfo });
    const data = new Uint8Array(dataSize);
    machine.permanent.nvIndices.set(nvIndex, { publicArea: publicInfo, auth: authValue, data });
    machine.changed();
    return {};
  },

  /** 31.4 */
  TPM2_NV_UndefineSpace(machine, { authHandle, nvIndex }) {
    const index = machine.nvIndex(nvIndex);
    const { policydelete, platformcreate } = index.publicArea.attributes;
    if (policydelete) refuse('ATTRIBUTES', 'nvIndex');
    if (authHandle === TPM_RH.OWNER && platformcreate) refuse('NV_AUTHORIZATION');
    removeIndex(machine, index);
    machine.changed();
    return {};
  },

  /** 31.5: with the index's own policy and the platform's authorization. */
  TPM2_NV_UndefineSpaceSpecial(machine, { nvIndex }) {
    const index = machine.nvIndex(nvIndex);
    if (!index.publicArea.attributes.policydelete) refuse('ATTRIBUTES', 'nvIndex');
    removeIndex(machine, index);
    machine.changed();
    return {};
  },

  /** 31.6 */
  TPM2_NV_ReadPublic(machine, { nvIndex }) {
    const { publicArea } = machine.nvIndex(nvIndex);
    return { nvPublic: publicArea, nvName: nvName(publicArea) };
  },

  /** 31.7 */
  TPM2_NV_Write(machine, { authHandle, nvIndex, data, offset }) {
    const index = machine.nvIndex(nvIndex);
    writeAllowed(index, authHandle);
    const nt = typeOf(index);
    if (nt === COUNTER || nt === BITS || nt === EXTEND) refuse('ATTRIBUTES');
    if (offset > index.data.length) refuse('VALUE', 'offset');
    if (data.length > index.data.length - offset) refuse('NV_RANGE');
    if (index.publicArea.attributes.writeall && data.length < index.data.length) refuse('NV_RANGE');
    const contents = contentsToWrite(index);
    contents.set(data, offset);
    write(machine, index, contents);
    return {};
  },

  /** 31.8: a new counter starts above any that was ever deleted. */
  TPM2_NV_Increment(machine, { authHandle, nvIndex }) {
    const index = machine.nvIndex(nvIndex);
    writeAllowed(index, authHandle);
    if (typeOf(index) !== COUNTER) refuse('ATTRIBUTES', 'nvIndex');
    const { written } = index.publicArea.attributes;
    write(machine, index, eightBytes((written ? countOf(index) : machine.permanent.maxCounter) + 1n));
    return {};
  },

  /** 31.9 */
  TPM2_NV_Extend(machine, { authHandle, nvIndex, data }) {
    const index = machine.nvIndex(nvIndex);
    writeAllowed(index, authHandle);
    if (typeOf(index) !== EXTEND) refuse('ATTRIBUTES', 'nvIndex');
    const old = index.publicArea.attributes.written ? index.data : new Uint8Array(index.data.length);
    write(machine, index, digest(index.publicArea.nameAlg, old, data));
    return {};
  },

  /** 31.10 */
  TPM2_NV_SetBits(machine, { authHandle, nvIndex, bits }) {
    const index = machine.nvIndex(nvIndex);
    writeAllowed(index, authHandle);
    if (typeOf(index) !== BITS) refuse('ATTRIBUTES', 'nvIndex');
    const old = index.publicArea.attributes.written ? countOf(index) : 0n;
    write(machine, index, eightBytes(old | bits));
    return {};
  },

  /** 31.11: locked already is locked, whoever asks. */
  TPM2_NV_WriteLock(machine, { authHandle, nvIndex }) {
    const index = machine.nvIndex(nvIndex);
    const { writedefine, write_stclear, writelocked } = index.publicArea.attributes;
    if (writelocked) return {};
    writeAllowed(index, authHandle);
    if (!writedefine && !write_stclear) refuse('ATTRIBUTES', 'nvIndex');
    setAttributes(index, { writelocked: true });
    machine.changed();
    return {};
  },

  /** 31.12 */
  TPM2_NV_GlobalWriteLock(machine) {
    for (const index of machine.permanent.nvIndices.values()) {
      if (index.publicArea.attributes.globallock) setAttributes(index, { writelocked: true });
    }
    machine.changed();
    return {};
  },

  /** 31.13 */
  TPM2_NV_Read(machine, { authHandle, nvIndex, size, offset }) {
    const index = machine.nvIndex(nvIndex);
    readAllowed(index, authHandle);
    if (size > NV_BUFFER_MAX) refuse('VALUE', 'size');
    if (offset > index.data.length) refuse('VALUE', 'offset');
    if (size > index.data.length - offset) refuse('NV_RANGE');
    return { data: index.data.subarray(offset, offset + size) };
  },

  /** 31.14: what was never written can be locked, too. */
  TPM2_NV_ReadLock(machine, { authHandle, nvIndex }) {
    const index = machine.nvIndex(nvIndex);
    const { readlocked, read_stclear } = index.publicArea.attributes;
    if (readlocked) return {};
    readAuthorized(index, authHandle);
    if (!read_stclear) refuse('ATTRIBUTES', 'nvIndex');
    setAttributes(index, { readlocked: true });
    machine.changed();
    return {};
  },

  /** 31.15 */
  TPM2_NV_ChangeAuth(machine, { nvIndex, newAuth }) {
    const index = machine.nvIndex(nvIndex);
    const auth = trimAuth(newAuth);
    if (auth.length > digestInfo(index.publicArea.nameAlg).size) refuse('SIZE', 'newAuth');
    index.auth = auth;
    machine.changed();
    return {};
  },

  /** 31.16: a part of the contents, or the digest of them all. */
  TPM2_NV_Certify(machine, { signHandle, authHandle, nvIndex, qualifyingData, inScheme, size, offset }) {
    const index = machine.nvIndex(nvIndex);
    const by = signer(machine, signHandle, inScheme);
    readAllowed(index, authHandle);
    if (size + offset > index.data.length) refuse('NV_RANGE');
    if (size > NV_BUFFER_MAX) refuse('VALUE', 'size');
    const indexName = nvName(index.publicArea);
    if (size === 0 && offset === 0) {
      // Nobody signs: there is no hash, and the digest is empty
      const nvDigest = by.scheme === undefined ? new Uint8Array(0) : digest(by.scheme.hashAlg, index.data);
      const body = { type: 'nv_digest', attested: { indexName, nvDigest } } as const;
      const { attested, signature } = attest(machine, by, qualifyingData, body);
      return { certifyInfo: attested, signature };
    }
    const nvContents = index.data.subarray(offset, offset + size);
    const { attested, signature } = attest(machine, by, qualifyingData, {
      type: 'nv',
      attested: { indexName, offset, nvContents },
    });
    return { certifyInfo: attested, signature };
  },
} satisfies Handlers;
