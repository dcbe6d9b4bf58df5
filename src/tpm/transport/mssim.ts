/**
 * The protocol of the reference simulator (TPM 2.0 Part 4, TcpServer): commands on one port, power and NV signals on the
 * next. Numbers are big endian.
 */
import { ByteWriter } from '../../bytes/index.ts';
import { TpmError } from '../errors.ts';
import { describeAddress, SocketStream } from './stream.ts';
import type { Transport } from './transport.ts';

const SIGNAL = { powerOn: 1, sendCommand: 8, nvOn: 11, sessionEnd: 20 } as const;
const MAX_RESPONSE = 64 * 1024;

export async function openMssim(host: string, port: number): Promise<Transport> {
  const platform = await SocketStream.open({ host, port: port + 1 });
  const stream = await startSimulator(platform, host, port);
  return {
    description: `mssim at ${describeAddress({ host, port })}`,
    async execute(command) {
      const frame = new ByteWriter(command.length + 9).u32be(SIGNAL.sendCommand).u8(0).u32be(command.length);
      stream.write(frame.bytes(command).finish());
      const size = readUint32(await stream.read(4));
      if (size > MAX_RESPONSE) throw stream.giveUp(`a response of ${size} bytes, at most ${MAX_RESPONSE} are read`);
      const response = await stream.read(size);
      await expectAcknowledgement(stream);
      return response;
    },
    async close() {
      for (const socket of [stream, platform]) {
        try {
          socket.write(uint32(SIGNAL.sessionEnd));
        } catch {
          // It is gone already, which is what closing wants.
        }
        await socket.close();
      }
    },
  };
}

/** Power on, and the channel for commands; the platform's is closed where that fails. */
async function startSimulator(platform: SocketStream, host: string, port: number): Promise<SocketStream> {
  try {
    for (const signal of [SIGNAL.powerOn, SIGNAL.nvOn]) {
      platform.write(uint32(signal));
      await expectAcknowledgement(platform);
    }
    return await SocketStream.open({ host, port });
  } catch (error) {
    await platform.close();
    throw error;
  }
}

const uint32 = (value: number): Uint8Array => new ByteWriter(4).u32be(value).finish();
const readUint32 = (bytes: Uint8Array): number => Buffer.from(bytes).readUInt32BE(0);

async function expectAcknowledgement(stream: SocketStream): Promise<void> {
  const code = readUint32(await stream.read(4));
  if (code !== 0) throw new TpmError('tpm.transport', `the simulator answered a signal with ${code}`);
}
