/** Non-volatile storage: TPM 2.0 Part 3, 31. */
import { digest, digestInfo } from '../../../bytes/index.ts';
import { nvName, TPM_NT, TPM_RH, type TPMS_NV_PUBLIC, trimAuth } from '../../../tpm/index.ts';
import { attest, signer } from '../attestation.ts';
import type { Handlers } from '../handler.ts';
import { isImplementedHash, MAX_NV_INDEX_SIZE, MAX_NV_INDICES, NV_BUFFER_MAX, NV_MEMORY } from '../limits.ts';
import type { Machine } from '../machine.ts';
import { readAllowed, readAuthorized, setAttributes, writeAllowed, writeAuthorized } from '../nv-access.ts';
import { refuse } from '../refusal.ts';
import type { NvIndex } from '../state.ts';

const { ORDINARY, COUNTER, BITS, EXTEND } = TPM_NT;

const typeOf = ({ publicArea }: NvIndex): number => publicArea.attributes.nt ?? ORDINARY;

/** 31.3.1: the size that a type demands; undefined for ordinary data. */
function fixedSize(nt: number, nameAlg: TPMS_NV_PUBLIC['nameAlg']): number | undefined {
  if (nt === COUNTER || nt === BITS) return 8;
  return nt === EXTEND ? digestInfo(nameAlg).size : undefined;
}

/** 31.3.1, in the specification's order. */
function checkDefinition(authHandle: number, area: TPMS_NV_PUBLIC): void {
  const { attributes, nameAlg, authPolicy, dataSize } = area;
  if (!isImplementedHash(nameAlg)) refuse('HASH', 'publicInfo');
  if (authPolicy.length > 0 && authPolicy.length !== digestInfo(nameAlg).size) refuse('SIZE', 'publicInfo');
  const nt = attributes.nt ?? ORDINARY;
  if (nt !== ORDINARY && nt !== COUNTER && nt !== BITS && nt !== EXTEND) refuse('ATTRIBUTES', 'publicInfo');
  const size = fixedSize(nt, nameAlg);
  if (size !== undefined && dataSize !== size) refuse('SIZE', 'publicInfo');
  if (dataSize > MAX_NV_INDEX_SIZE) refuse('SIZE', 'publicInfo');
  const { ppread, ownerread, authread, policyread, ppwrite, ownerwrite, authwrite, policywrite } = attributes;
  if (!ppread && !ownerread && !authread && !policyread) refuse('ATTRIBUTES', 'publicInfo');
  if (!ppwrite && !ownerwrite && !authwrite && !policywrite) refuse('ATTRIBUTES', 'publicInfo');
  if (attributes.written || attributes.readlocked || attributes.writelocked) refuse('ATTRIBUTES', 'publicInfo');
  const isPlatform = authHandle === TPM_RH.PLATFORM;
  if ((attributes.platformcreate === true) !== isPlatform) refuse('ATTRIBUTES', 'authHandle');
  if (attributes.policydelete && !isPlatform) refuse('ATTRIBUTES', 'publicInfo');
  if (attributes.clear_stclear && nt === COUNTER) refuse('ATTRIBUTES', 'publicInfo');
  if (attributes.writeall && dataSize > NV_BUFFER_MAX) refuse('SIZE', 'publicInfo');
}

function checkSpace({ permanent }: Machine, dataSize: number): void {
  if (permanent.nvIndices.size >= MAX_NV_INDICES) refuse('NV_SPACE');
  const used = [...permanent.nvIndices.values()].reduce((sum, { data }) => sum + data.length + 128, 0);
  if (used + dataSize > NV_MEMORY) refuse('NV_SPACE');
}

function write(machine: Machine, index: NvIndex, data: Uint8Array): void {
  index.data = data;
  setAttributes(index, { written: true });
  machine.changed();
}

const asCount = (data: Uint8Array): bigint => BigInt(`0x${Buffer.from(data).toString('hex')}`);
const eightBytes = (value: bigint): Uint8Array => Buffer.from(value.toString(16).padStart(16, '0'), 'hex');

/** A counter leaves its count behind: no later one starts below it (31.8). */
function forget(machine: Machine, index: NvIndex): void {
  const { permanent } = machine;
  if (typeOf(index) === COUNTER && index.publicArea.attributes.written) {
    const count = asCount(index.data);
    if (count > permanent.maxCounter) permanent.maxCounter = count;
  }
  permanent.nvIndices.delete(index.publicArea.nvIndex);
  machine.changed();
}

export const nv = {
  /** 31.3 */
  TPM2_NV_DefineSpace(machine, { authHandle, auth, publicInfo }) {
    const authValue = trimAuth(auth);
    checkDefinition(authHandle, publicInfo);
    if (authValue.length > digestInfo(publicInfo.nameAlg).size) refuse('SIZE', 'auth');
    if (machine.permanent.nvIndices.has(publicInfo.nvIndex)) refuse('NV_DEFINED');
    checkSpace(machine, publicInfo.dataSize);
    // Erased memory reads as ones, as libtpms' does
    const data = new Uint8Array(publicInfo.dataSize).fill(0xff);
    machine.permanent.nvIndices.set(publicInfo.nvIndex, { publicArea: publicInfo, auth: authValue, data });
    machine.changed();
    return {};
  },

  /** 31.4 */
  TPM2_NV_UndefineSpace(machine, { authHandle, nvIndex }) {
    const index = machine.nvIndex(nvIndex);
    const { policydelete, platformcreate } = index.publicArea.attributes;
    if (policydelete) refuse('ATTRIBUTES', 'nvIndex');
    if (authHandle === TPM_RH.OWNER && platformcreate) refuse('NV_AUTHORIZATION');
    forget(machine, index);
    return {};
  },

  /** 31.5: with the index's own policy and the platform's authorization. */
  TPM2_NV_UndefineSpaceSpecial(machine, { nvIndex }) {
    const index = machine.nvIndex(nvIndex);
    if (!index.publicArea.attributes.policydelete) refuse('ATTRIBUTES', 'nvIndex');
    forget(machine, index);
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
    if (data.length > NV_BUFFER_MAX) refuse('SIZE', 'data');
    if (typeOf(index) !== ORDINARY) refuse('ATTRIBUTES');
    if (offset > index.data.length) refuse('VALUE', 'offset');
    if (data.length > index.data.length - offset) refuse('NV_RANGE');
    if (index.publicArea.attributes.writeall && data.length < index.data.length) refuse('NV_RANGE');
    const contents = Uint8Array.from(index.data);
    contents.set(data, offset);
    write(machine, index, contents);
    return {};
  },

  /** 31.8: a new counter starts above any that was ever deleted. */
  TPM2_NV_Increment(machine, { authHandle, nvIndex }) {
    const index = machine.nvIndex(nvIndex);
    writeAllowed(index, authHandle);
    if (typeOf(index) !== COUNTER) refuse('ATTRIBUTES', 'nvIndex');
    const count = index.publicArea.attributes.written ? asCount(index.data) : machine.permanent.maxCounter;
    write(machine, index, eightBytes(BigInt.asUintN(64, count + 1n)));
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
    const old = index.publicArea.attributes.written ? asCount(index.data) : 0n;
    write(machine, index, eightBytes(old | bits));
    return {};
  },

  /** 31.11 */
  TPM2_NV_WriteLock(machine, { authHandle, nvIndex }) {
    const index = machine.nvIndex(nvIndex);
    const { writedefine, write_stclear, writelocked } = index.publicArea.attributes;
    writeAuthorized(index, authHandle);
    if (writelocked) return {};
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

  /** 31.14 */
  TPM2_NV_ReadLock(machine, { authHandle, nvIndex }) {
    const index = machine.nvIndex(nvIndex);
    readAuthorized(index, authHandle);
    if (index.publicArea.attributes.readlocked) return {};
    if (!index.publicArea.attributes.read_stclear) refuse('ATTRIBUTES', 'nvIndex');
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

  /** 31.16 */
  TPM2_NV_Certify(machine, { signHandle, authHandle, nvIndex, qualifyingData, inScheme, size, offset }) {
    const index = machine.nvIndex(nvIndex);
    const by = signer(machine, signHandle, inScheme);
    readAllowed(index, authHandle);
    const indexName = nvName(index.publicArea);
    if (size === 0 && offset === 0) {
      const { hashAlg } = by.scheme ?? { hashAlg: 'sha256' };
      const nvDigest = digest(hashAlg, index.data);
      const { attested, signature } = attest(machine, by, qualifyingData, {
        type: 'nv_digest',
        attested: { indexName, nvDigest },
      });
      return { certifyInfo: attested, signature };
    }
    if (size > NV_BUFFER_MAX) refuse('VALUE', 'size');
    if (offset > index.data.length) refuse('VALUE', 'offset');
    if (size > index.data.length - offset) refuse('NV_RANGE');
    const nvContents = index.data.subarray(offset, offset + size);
    const { attested, signature } = attest(machine, by, qualifyingData, {
      type: 'nv',
      attested: { indexName, offset, nvContents },
    });
    return { certifyInfo: attested, signature };
  },
} satisfies Handlers;
