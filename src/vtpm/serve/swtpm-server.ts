/**
 * swtpm's protocol (man swtpm_ioctls, tpm_ioctl.h): a data channel of bare commands, and a control channel whose
 * commands are a 32-bit number and a body, whose answers begin with a 32-bit result. Big-endian throughout.
 */
import type { Served } from './connection.ts';

const CMD = {
  GET_CAPABILITY: 1,
  INIT: 2,
  SHUTDOWN: 3,
  GET_TPMESTABLISHED: 4,
  SET_LOCALITY: 5,
  CANCEL_TPM_CMD: 9,
  STORE_VOLATILE: 0x0a,
  RESET_TPMESTABLISHED: 0x0b,
  STOP: 0x0e,
  GET_CONFIG: 0x0f,
  SET_BUFFERSIZE: 0x11,
} as const;

/** Bits of what is implemented here: INIT, SHUTDOWN, GET_TPMESTABLISHED, SET_LOCALITY, CANCEL, … (tpm_ioctl.h, PTM_CAP_*). */
const CAPABILITIES = 1 | (1 << 1) | (1 << 2) | (1 << 3) | (1 << 5) | (1 << 6) | (1 << 10) | (1 << 12);

const SUCCESS = 0;
const BAD_ORDINAL = 0x0a;
const BAD_LOCALITY = 0x3d;
const HEADER = 10;
export const MAX_BUFFER = 4096;

function uint32s(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4);
  return bytes;
}

/** The locality that the control channel set, for the commands that follow. */
export interface Locality {
  current: number;
}

/** Data channel: the size in each command's header says where it ends. */
export async function serveSwtpmData({ input, send, tpm }: Served, locality: Locality): Promise<void> {
  for (;;) {
    const header = await input.read(HEADER);
    const size = header.readUInt32BE(2);
    if (size < HEADER || size > MAX_BUFFER) {
      // The rest cannot be found: answer what the header says, and end
      await send(Buffer.from(await tpm.execute(header, locality.current)));
      return;
    }
    const command = Buffer.concat([header, await input.read(size - HEADER)]);
    await send(Buffer.from(await tpm.execute(command, locality.current)));
  }
}

export async function serveSwtpmControl({ input, send, tpm }: Served, locality: Locality): Promise<void> {
  for (;;) {
    const command = (await input.read(4)).readUInt32BE();
    switch (command) {
      case CMD.GET_CAPABILITY:
        await send(Buffer.concat([uint32s(SUCCESS), uint32s(0, CAPABILITIES)]));
        break;
      case CMD.INIT:
        await input.read(4); // flags
        await tpm.powerOn();
        await send(uint32s(SUCCESS));
        break;
      case CMD.GET_TPMESTABLISHED:
        await send(Buffer.concat([uint32s(SUCCESS), Buffer.alloc(4)]));
        break;
      case CMD.SET_LOCALITY: {
        // tpm2-tss sends the locality alone, QEMU the whole union of ptm_loc
        const asked = (await input.readSome(1, 4)).readUInt8(0);
        const isValid = asked <= 4;
        if (isValid) locality.current = asked;
        await send(uint32s(isValid ? SUCCESS : BAD_LOCALITY));
        break;
      }
      case CMD.RESET_TPMESTABLISHED:
        await input.readSome(1, 4);
        await send(uint32s(SUCCESS));
        break;
      case CMD.SET_BUFFERSIZE:
        await input.read(4);
        await send(uint32s(SUCCESS, MAX_BUFFER, MAX_BUFFER, MAX_BUFFER));
        break;
      case CMD.GET_CONFIG:
        await send(uint32s(SUCCESS, 0));
        break;
      case CMD.SHUTDOWN:
      case CMD.STOP:
      case CMD.STORE_VOLATILE:
      case CMD.CANCEL_TPM_CMD:
        await send(uint32s(SUCCESS));
        break;
      default:
        await send(uint32s(BAD_ORDINAL));
        return; // the body's length is unknown
    }
  }
}
