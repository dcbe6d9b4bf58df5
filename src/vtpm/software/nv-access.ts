/** Who may read and write an NV index, and what becomes of it (Part 4, NV_spt.c and NVDynamic.c). */
import { TPM_NT, TPM_RH } from '../../tpm/index.ts';
import type { Machine } from './machine.ts';
import { refuse } from './refusal.ts';
import type { NvIndex } from './state.ts';

type Attributes = NvIndex['publicArea']['attributes'];

/** NvReadAccessChecks. @throws {Refusal} `NV_LOCKED`, `NV_AUTHORIZATION`, `NV_UNINITIALIZED` */
export function readAllowed(index: NvIndex, authHandle: number): void {
  if (index.publicArea.attributes.readlocked) refuse('NV_LOCKED');
  readAuthorized(index, authHandle);
  if (!index.publicArea.attributes.written) refuse('NV_UNINITIALIZED');
}

/** As {@link readAllowed} for what does not touch the contents. */
export function readAuthorized({ publicArea }: NvIndex, authHandle: number): void {
  const { attributes, nvIndex } = publicArea;
  if (!isAuthorized(authHandle, nvIndex, attributes.ownerread, attributes.ppread)) refuse('NV_AUTHORIZATION');
}

/** NvWriteAccessChecks. @throws {Refusal} `NV_LOCKED`, `NV_AUTHORIZATION` */
export function writeAllowed({ publicArea }: NvIndex, authHandle: number): void {
  const { attributes, nvIndex } = publicArea;
  if (attributes.writelocked) refuse('NV_LOCKED');
  if (!isAuthorized(authHandle, nvIndex, attributes.ownerwrite, attributes.ppwrite)) refuse('NV_AUTHORIZATION');
}

/** An index may authorize itself: whether by value or policy, the engine has checked. */
function isAuthorized(
  authHandle: number,
  nvIndex: number,
  byOwner: boolean | undefined,
  byPlatform: boolean | undefined,
): boolean {
  if (authHandle === TPM_RH.OWNER) return byOwner === true;
  if (authHandle === TPM_RH.PLATFORM) return byPlatform === true;
  return authHandle === nvIndex;
}

/** The same index with some attributes changed; `false` clears. */
export function setAttributes(index: NvIndex, changes: Attributes): void {
  const merged = { ...index.publicArea.attributes, ...changes };
  const attributes = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== false && value !== 0));
  index.publicArea = { ...index.publicArea, attributes };
}

export function countOf({ data }: NvIndex): bigint {
  return Buffer.from(data).readBigUInt64BE();
}

/** A counter leaves its count behind: no later one starts below it (Part 3, 31.8). */
export function removeIndex({ permanent }: Machine, index: NvIndex): void {
  const { attributes, nvIndex } = index.publicArea;
  if (attributes.nt === TPM_NT.COUNTER && attributes.written) {
    const count = countOf(index);
    if (count > permanent.maxCounter) permanent.maxCounter = count;
  }
  permanent.nvIndices.delete(nvIndex);
}

/**
 * At TPM2_Startup but for a Resume: locks end, and so do contents that do not outlive it (NvEntityStartup). An orderly
 * counter that was not shut down has its low bits set: it may not show a count again that it has shown.
 */
export function startIndex(index: NvIndex, isReset: boolean, isOrderly: boolean): void {
  const { nt, clear_stclear, orderly, writedefine, written } = index.publicArea.attributes;
  const isCounter = nt === TPM_NT.COUNTER;
  const isForgotten = !isCounter && (clear_stclear === true || (orderly === true && isReset));
  const staysWritten = written === true && !isForgotten;
  setAttributes(index, { readlocked: false, written: staysWritten });
  if (!staysWritten || !writedefine) setAttributes(index, { writelocked: false });
  if (isCounter && orderly && !isOrderly) {
    const data = Buffer.from(index.data);
    data[7] = 0xff;
    index.data = data;
  }
}
