/**
 * The protocol of Microsoft's TPM simulator (TcpTpm.c): a command port and, at the next number, a platform port.
 * Numbers are big-endian; each answer ends with a 32-bit zero.
 */
import type { Served } from './connection.ts';
import { uint32s } from './swtpm-protocol.ts';

const SIGNAL = {
  HASH_START: 5,
  HASH_DATA: 6,
  HASH_END: 7,
  SEND_COMMAND: 8,
  REMOTE_HANDSHAKE: 15,
  RESET: 17,
  RESTART: 18,
  SESSION_END: 20,
  STOP: 21,
} as const;

const ACKNOWLEDGED = Buffer.alloc(4);
/** More than any TPM takes: a peer that announces more is no peer. */
const MAX_SIZE = 4096;

/** Command port: `SEND_COMMAND`, locality (1 byte), size, command; and what a launch measures. */
export async function serveMssimCommands({ input, send, tpm }: Served): Promise<void> {
  for (;;) {
    const signal = (await input.read(4)).readUInt32BE();
    switch (signal) {
      case SIGNAL.REMOTE_HANDSHAKE:
        await input.read(4);
        // Server version 1; flags: a platform port is there, and it is not a resource manager
        await send(Buffer.concat([uint32s(1, 2), ACKNOWLEDGED]));
        break;
      case SIGNAL.SEND_COMMAND: {
        const locality = (await input.read(1)).readUInt8();
        const size = (await input.read(4)).readUInt32BE();
        if (size > MAX_SIZE) return;
        const response = await tpm.execute(await input.read(size), locality);
        await send(Buffer.concat([uint32s(response.length), response, ACKNOWLEDGED]));
        break;
      }
      case SIGNAL.HASH_START:
        await tpm.hashStart();
        await send(ACKNOWLEDGED);
        break;
      case SIGNAL.HASH_DATA: {
        const size = (await input.read(4)).readUInt32BE();
        if (size > MAX_SIZE) return;
        await tpm.hashData(await input.read(size));
        await send(ACKNOWLEDGED);
        break;
      }
      case SIGNAL.HASH_END:
        await tpm.hashEnd();
        await send(ACKNOWLEDGED);
        break;
      default:
        return; // SESSION_END, STOP, or nothing that is known
    }
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
