import { type DigestAlgorithm, digestInfo, toHex } from '../../bytes/index.ts';
import { EventType, eventTypeName } from '../event-types.ts';
import type { BootEvent, BootLog, SpecId } from '../log.ts';
import { replayBootLog } from '../replay.ts';
import { payloadLines } from './payload.ts';

/** Banks in the order in which tpm2_eventlog prints them; those that it does not know come after. */
const BANKS: readonly DigestAlgorithm[] = [
  'sha1',
  'sha256',
  'sha384',
  'sha512',
  'sm3',
  'sha3-256',
  'sha3-384',
  'sha3-512',
];

/** tpm2-tools' names of algorithms (lib/tpm2_alg_util.c), by TPM_ALG_ID. */
const ALGORITHM_NAMES: ReadonlyMap<number | undefined, string> = new Map(
  BANKS.map((bank) => [digestInfo(bank).tpmAlg, bank === 'sm3' ? 'sm3_256' : bank.replace('-', '_')]),
);

/** Types that are newer than tpm2-tools 5.4; 5.5 knows the H-CRTM's. */
const UNNAMED: ReadonlySet<number> = new Set([
  EventType.EV_POST_CODE2,
  EventType.EV_EFI_GPT_EVENT2,
  EventType.EV_EFI_SPDM_FIRMWARE_BLOB,
  EventType.EV_EFI_SPDM_FIRMWARE_CONFIG,
  EventType.EV_EFI_SPDM_DEVICE_POLICY,
  EventType.EV_EFI_SPDM_DEVICE_AUTHORITY,
]);

/**
 * A log as tpm2_eventlog of tpm2-tools 5.4 prints it, for programs that read that: events, then the PCRs that they replay
 * to. Where 5.4 prints what is not so, or no YAML, this prints what is: docs/TPM2-EVENTLOG.md lists each such place.
 *
 * In pieces, one for each event: a log of the largest size taken can give more text than one string holds.
 * @param version the tool's `--eventlog-version`: 1 leaves most payloads as hex (its default), 2 takes them apart
 */
export function* tpm2EventlogYaml(log: BootLog, version: 1 | 2): Generator<string> {
  yield piece(['---', `version: ${version}`, 'events:']);
  for (const event of log.events) yield piece(eventLines(event, log, version));
  yield piece(['pcrs:', ...pcrLines(log)]);
}

const piece = (lines: readonly string[]): string => `${lines.join('\n')}\n`;

function eventLines(event: BootEvent, log: BootLog, version: 1 | 2): string[] {
  const { index, pcr, type, digests, data } = event;
  const head = [`- EventNum: ${index}`, `  PCRIndex: ${pcr}`, `  EventType: ${typeName(type)}`];
  const size = `  EventSize: ${data.length}`;
  // TXT's log as text has banks and no Spec ID event.
  if (index === 0 && log.specId !== undefined && type === EventType.EV_NO_ACTION) {
    return [...head, `  Digest: "${toHex(digests[0]?.value ?? new Uint8Array())}"`, size, ...specIdLines(log.specId)];
  }
  return [
    ...head,
    `  DigestCount: ${digests.length}`,
    '  Digests:',
    ...digests.flatMap(({ tpmAlg, value }) => [
      `  - AlgorithmId: ${algorithmName(tpmAlg)}`,
      `    Digest: "${toHex(value)}"`,
    ]),
    size,
    ...payloadLines(event, version),
  ];
}

function typeName(type: number): string {
  const name = eventTypeName(type);
  return name.startsWith('EV_') && !UNNAMED.has(type) ? name : 'Unknown event type';
}

function algorithmName(tpmAlg: number): string {
  return ALGORITHM_NAMES.get(tpmAlg) ?? `0x${tpmAlg.toString(16)}`;
}

function specIdLines(specId: SpecId): string[] {
  const { platformClass, versionMinor, versionMajor, errata, uintnSize, algorithms, vendorInfo } = specId;
  return [
    '  SpecID:',
    '  - Signature: Spec ID Event03',
    `    platformClass: ${platformClass}`,
    `    specVersionMinor: ${versionMinor}`,
    `    specVersionMajor: ${versionMajor}`,
    `    specErrata: ${errata}`,
    `    uintnSize: ${uintnSize}`,
    `    numberOfAlgorithms: ${algorithms.length}`,
    '    Algorithms:',
    ...algorithms.flatMap(({ tpmAlg, size }, i) => [
      `    - Algorithm[${i}]:`,
      `      algorithmId: ${algorithmName(tpmAlg)}`,
      `      digestSize: ${size}`,
    ]),
    `    vendorInfoSize: ${vendorInfo.length}`,
    ...(vendorInfo.length === 0 ? [] : [`    vendorInfo: "${toHex(vendorInfo)}"`]),
  ];
}

function pcrLines(log: BootLog): string[] {
  const replayed = replayBootLog(log);
  return BANKS.flatMap((bank) => {
    const values = replayed[bank];
    if (values === undefined) return [];
    const lines = Object.entries(values).map(([pcr, value]) => `    ${pcr.padEnd(2)} : 0x${value}`);
    return [`  ${algorithmName(digestInfo(bank).tpmAlg ?? 0)}:`, ...lines];
  });
}
