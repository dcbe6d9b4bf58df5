/**
 * swtpm's data channel: bare commands, whose header says where they end; or each in the frame of TCG's simulator, with a
 * locality, which its answer then has, too (swtpm's src/swtpm/tpmlib.c, tpmlib_handle_tcg_tpm2_cmd_header).
 */
import type { Served } from './connection.ts';
import { uint32s } from './swtpm-protocol.ts';

const HEADER = 10;
const MAX_COMMAND = 4096;
const TPM2_SEND_COMMAND = 8;
/** The frame: TPM2_SEND_COMMAND (4), locality (1), size (4). */
const FRAME = 9;

/** The locality that the control channel set, for the commands that follow; a frame's own is that command's alone. */
export interface Locality {
  current: number;
}

export async function serveSwtpmData(
  { input, send, tpm }: Served,
  locality: Locality,
  { disconnects = false }: { readonly disconnects?: boolean } = {},
): Promise<void> {
  do {
    const first = await input.read(HEADER);
    const isFramed = first.readUInt32BE(0) === TPM2_SEND_COMMAND;
    const at = isFramed ? first.readUInt8(4) : locality.current;
    const header = isFramed ? Buffer.concat([first.subarray(FRAME), await input.read(FRAME)]) : first;
    const size = header.readUInt32BE(2);
    const isFound = size >= HEADER && size <= MAX_COMMAND;
    const command = isFound ? Buffer.concat([header, await input.read(size - HEADER)]) : header;
    const response = await tpm.execute(command, at);
    await send(isFramed ? Buffer.concat([uint32s(response.length), response, uint32s(0)]) : response);
    if (!isFound) return; // where the next command begins is not known
  } while (!disconnects);
}
