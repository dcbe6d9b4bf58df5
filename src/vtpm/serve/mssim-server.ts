/**
 * The protocol of Microsoft's TPM simulator (TcpTpm.c): a command port and, at the next number, a platform port.
 * Numbers are big-endian; each answer ends with a 32-bit zero.
 */
import type { Served } from './connection.ts';

const SIGNAL = {
  POWER_ON: 1,
  POWER_OFF: 2,
  SEND_COMMAND: 8,
  CANCEL_ON: 9,
  CANCEL_OFF: 10,
  NV_ON: 11,
  NV_OFF: 12,
  REMOTE_HANDSHAKE: 15,
  RESET: 17,
  RESTART: 18,
  SESSION_END: 20,
  STOP: 21,
} as const;

const ACKNOWLEDGED = Buffer.alloc(4);
/** More than any TPM takes: a peer that announces more is no peer. */
const MAX_COMMAND = 4096;

function uint32s(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4);
  return bytes;
}

/** Command port: `SEND_COMMAND`, locality (1 byte), size, command. */
export async function serveMssimCommands({ input, send, tpm }: Served): Promise<void> {
  for (;;) {
    const signal = (await input.read(4)).readUInt32BE();
    if (signal === SIGNAL.SESSION_END || signal === SIGNAL.STOP) return;
    if (signal === SIGNAL.REMOTE_HANDSHAKE) {
      await input.read(4);
      // Server version 1; flags: a platform port is there, and it is not a resource manager
      await send(Buffer.concat([uint32s(1, 2), ACKNOWLEDGED]));
      continue;
    }
    if (signal !== SIGNAL.SEND_COMMAND) return;
    const head = await input.read(5);
    const size = head.readUInt32BE(1);
    if (size > MAX_COMMAND) return;
    const response = await tpm.execute(await input.read(size), head.readUInt8(0));
    await send(Buffer.concat([uint32s(response.length), response, ACKNOWLEDGED]));
  }
}

/** Platform port: power and reset; every signal is acknowledged. */
export async function serveMssimPlatform({ input, send, tpm }: Served): Promise<void> {
  for (;;) {
    const signal = (await input.read(4)).readUInt32BE();
    if (signal === SIGNAL.SESSION_END || signal === SIGNAL.STOP) return;
    // Power that is on already stays on; a reset is a new _TPM_Init (Platform_signal in TcpTpmProtocol.h)
    if (signal === SIGNAL.RESET || signal === SIGNAL.RESTART) await tpm.powerOn();
    await send(ACKNOWLEDGED);
  }
}
