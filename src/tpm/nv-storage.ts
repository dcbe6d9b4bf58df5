/** NV indices read whole (TPM 2.0 Part 3, 31.6 and 31.13). */
import type { TpmClient } from './client/index.ts';
import { TPM2_GetCapability, TPM2_NV_Read, TPM2_NV_ReadPublic } from './commands.ts';
import { TpmError } from './errors.ts';
import { isResponseCode } from './response-codes.ts';
import { TPM_PT, TPM_RH } from './structures.ts';

/** What every TPM 2.0 takes in one piece, where it does not say its own limit. */
const SMALLEST_BUFFER = 512;
/** What any response buffer holds, whatever a TPM says. */
const LARGEST_BUFFER = 1024;

/** The content of an index that the owner may read, or its own authorization opens; undefined where there is none. */
export async function readNvIndex(tpm: TpmClient, nvIndex: number): Promise<Uint8Array | undefined> {
  const size = await definedSize(tpm, nvIndex);
  if (size === undefined) return undefined;
  const pieceSize = await nvBufferSize(tpm);
  const { nvPublic } = await tpm.execute(TPM2_NV_ReadPublic, { nvIndex });
  const authHandle = nvPublic.attributes.ownerread === true ? TPM_RH.OWNER : nvIndex;
  const pieces: Uint8Array[] = [];
  for (let offset = 0; offset < size; offset += pieceSize) {
    const request = { authHandle, nvIndex, size: Math.min(pieceSize, size - offset), offset };
    const { data } = await tpm.execute(TPM2_NV_Read, request);
    if (data.length !== request.size) {
      throw new TpmError('tpm.malformed', `NV read of ${request.size} bytes gave ${data.length}`);
    }
    pieces.push(data);
  }
  return Buffer.concat(pieces);
}

async function definedSize(tpm: TpmClient, nvIndex: number): Promise<number | undefined> {
  try {
    const { nvPublic } = await tpm.execute(TPM2_NV_ReadPublic, { nvIndex });
    return nvPublic.attributes.written === true ? nvPublic.dataSize : undefined;
  } catch (error) {
    if (error instanceof TpmError && error.rc !== undefined && isResponseCode(error.rc, 'HANDLE')) return undefined;
    throw error;
  }
}

async function nvBufferSize(tpm: TpmClient): Promise<number> {
  const { capabilityData } = await tpm.execute(TPM2_GetCapability, {
    capability: 'tpm_properties',
    property: TPM_PT.NV_BUFFER_MAX,
    propertyCount: 1,
  });
  if (capabilityData.capability !== 'tpm_properties') return SMALLEST_BUFFER;
  const limit = capabilityData.data.find(({ property }) => property === TPM_PT.NV_BUFFER_MAX)?.value ?? SMALLEST_BUFFER;
  return Math.min(Math.max(limit, SMALLEST_BUFFER), LARGEST_BUFFER);
}
