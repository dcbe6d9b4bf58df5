import { ByteWriter } from '../bytes/index.ts';
import { BootError } from './error.ts';
import type { BootEvent, BootLog } from './log.ts';

const SHA1_TPM_ALG = 0x0004;
const SHA1_SIZE = 20;

/**
 * The bytes of a TCG event log, as `parseBootLog` reads them; what it read comes out again byte for byte, without the
 * padding. TCG PC Client Platform Firmware Profile, "TCG_PCR_EVENT2 Structure", "Tagged Event Log".
 * @throws {BootError} `boot.not-a-log` where a record of the SHA-1 form has other digests than one SHA-1 digest
 */
export function encodeBootLog(log: Pick<BootLog, 'format' | 'events'>): Uint8Array {
  const writer = new ByteWriter(64 * 1024);
  for (const [i, event] of log.events.entries()) {
    writer.u32le(event.pcr).u32le(event.type);
    // The Spec ID event of a crypto-agile log has the SHA-1 form itself, so that old readers can skip it.
    if (log.format === 'sha1' || i === 0) writer.bytes(onlySha1(event, i));
    else {
      writer.u32le(event.digests.length);
      for (const { tpmAlg, value } of event.digests) writer.u16le(tpmAlg).bytes(value);
    }
    writer.u32le(event.data.length).bytes(event.data);
  }
  return writer.finish();
}

function onlySha1({ digests }: BootEvent, index: number): Uint8Array {
  const [first] = digests;
  if (digests.length === 1 && first?.tpmAlg === SHA1_TPM_ALG && first.value.length === SHA1_SIZE) return first.value;
  throw new BootError(
    'boot.not-a-log',
    `event ${index} does not have one SHA-1 digest, as a log's first event and each event of a SHA-1 log must`,
  );
}
