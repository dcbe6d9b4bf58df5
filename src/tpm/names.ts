/** Names of entities (TPM 2.0 Part 1, 16), and the digests of a command's and a response's parameters (18.7, 18.8). */
import { ByteWriter, type DigestAlgorithm, digest } from '../bytes/index.ts';
import { encode } from './codec.ts';
import { handleType, TPM_ALG, TPM_HT, type TPMI_ALG_HASH } from './constants.ts';
import { TpmError } from './errors.ts';
import { TPMS_NV_PUBLIC } from './nv.ts';
import { TPMT_PUBLIC } from './public-area.ts';

/** nameAlg ‖ H(publicArea); empty for an object without a name algorithm. */
export function objectName(publicArea: TPMT_PUBLIC): Uint8Array {
  if (publicArea.nameAlg === 'null') return new Uint8Array();
  return name(publicArea.nameAlg, encode(TPMT_PUBLIC, publicArea));
}

/** nameAlg ‖ H(nvPublic). It changes with the first write, which sets `written`. */
export function nvName(nvPublic: TPMS_NV_PUBLIC): Uint8Array {
  return name(nvPublic.nameAlg, encode(TPMS_NV_PUBLIC, nvPublic));
}

/** nameAlg ‖ H(parent's qualified name ‖ name); a hierarchy's qualified name is its handle. */
export function qualifiedName(
  nameAlg: TPMI_ALG_HASH,
  parentQualifiedName: Uint8Array,
  objectName: Uint8Array,
): Uint8Array {
  return name(nameAlg, parentQualifiedName, objectName);
}

function name(nameAlg: TPMI_ALG_HASH, ...parts: readonly Uint8Array[]): Uint8Array {
  const hash = digest(nameAlg, ...parts);
  return new ByteWriter(2 + hash.length).u16be(TPM_ALG[nameAlg]).bytes(hash).finish();
}

/** The four bytes of a handle: the Name of a PCR, a session and a permanent entity. */
export function handleName(handle: number): Uint8Array {
  return new ByteWriter(4).u32be(handle).finish();
}

/** True where the Name of what the handle stands for is computed from its public area. */
export function hasPublicArea(handle: number): boolean {
  const type = handleType(handle);
  return type === TPM_HT.TRANSIENT || type === TPM_HT.PERSISTENT || type === TPM_HT.NV_INDEX;
}

/** The Name that goes into a cpHash. @throws {TpmError} `tpm.argument` where the handle's kind needs a public area */
export function entityName(handle: number, area?: TPMT_PUBLIC | TPMS_NV_PUBLIC): Uint8Array {
  if (!hasPublicArea(handle)) return handleName(handle);
  if (area === undefined) {
    throw new TpmError('tpm.argument', `the Name of 0x${handle.toString(16)} needs its public area`);
  }
  return 'nvIndex' in area ? nvName(area) : objectName(area);
}

/** H(commandCode ‖ Names of the handles ‖ parameters). */
export function cpHash(
  algorithm: DigestAlgorithm,
  code: number,
  names: readonly Uint8Array[],
  parameters: Uint8Array,
): Uint8Array {
  return digest(algorithm, handleName(code), ...names, parameters);
}

/** H(responseCode ‖ commandCode ‖ parameters). */
export function rpHash(algorithm: DigestAlgorithm, rc: number, code: number, parameters: Uint8Array): Uint8Array {
  return digest(algorithm, handleName(rc), handleName(code), parameters);
}
