/** swtpm's data channel: bare commands and responses on one socket that stays open. */
import { HEADER_SIZE } from '../frame.ts';
import { describeAddress, type SocketAddress, SocketStream } from './stream.ts';
import type { Transport } from './transport.ts';

/** Larger than any TPM's response buffer. */
const MAX_RESPONSE = 64 * 1024;

export async function openSwtpm(address: SocketAddress): Promise<Transport> {
  const stream = await SocketStream.open(address);
  return {
    description: `swtpm at ${describeAddress(address)}`,
    async execute(command) {
      stream.write(command);
      return await readResponse(stream);
    },
    close: () => stream.close(),
  };
}

/** A response says its own size at bytes 2–5. */
async function readResponse(stream: SocketStream): Promise<Uint8Array> {
  const header = await stream.read(HEADER_SIZE);
  const size = Buffer.from(header).readUInt32BE(2);
  if (size < HEADER_SIZE || size > MAX_RESPONSE) {
    throw stream.giveUp(`a response of ${size} bytes, at most ${MAX_RESPONSE} are read`);
  }
  return Buffer.concat([header, await stream.read(size - HEADER_SIZE)]);
}
