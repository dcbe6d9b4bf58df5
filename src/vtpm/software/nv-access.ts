/** Who may read and write an NV index (Part 4, NV_spt.c). */
import { TPM_RH } from '../../tpm/index.ts';
import { refuse } from './refusal.ts';
import type { NvIndex } from './state.ts';

type Attributes = NvIndex['publicArea']['attributes'];

/** Part 4, NvReadAccessChecks. @throws {Refusal} `NV_AUTHORIZATION`, `NV_LOCKED`, `NV_UNINITIALIZED` */
export function readAllowed(index: NvIndex, authHandle: number): void {
  const { attributes } = index.publicArea;
  if (attributes.readlocked) refuse('NV_LOCKED');
  readAuthorized(index, authHandle);
  if (!attributes.written) refuse('NV_UNINITIALIZED');
}

/** As {@link readAllowed} for what does not touch the contents. */
export function readAuthorized(index: NvIndex, authHandle: number): void {
  const { attributes, nvIndex } = index.publicArea;
  if (!isAuthorized(authHandle, nvIndex, attributes.ownerread, attributes.ppread)) refuse('NV_AUTHORIZATION');
}

/** Part 4, NvWriteAccessChecks. */
export function writeAllowed(index: NvIndex, authHandle: number): void {
  writeAuthorized(index, authHandle);
  if (index.publicArea.attributes.writelocked) refuse('NV_LOCKED');
}

export function writeAuthorized(index: NvIndex, authHandle: number): void {
  const { attributes, nvIndex } = index.publicArea;
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
