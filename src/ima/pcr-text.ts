import { type DigestAlgorithm, digestInfo, isDigestAlgorithm } from '../bytes/index.ts';
import { ImaError } from './error.ts';
import type { PcrValues } from './replay-state.ts';
import { MAX_PCR } from './scan.ts';

const MAX_TEXT = 1 << 20;
const BANK_OF_SIZE: ReadonlyMap<number, DigestAlgorithm> = new Map([
  [20, 'sha1'],
  [32, 'sha256'],
  [48, 'sha384'],
  [64, 'sha512'],
]);
/** `0 : 0xAB…` of tpm2_pcrread, `0: ab…` of tsspcrread, `PCR-00: AB CD …` of the TPM 1.2 driver in sysfs. */
const VALUE_LINE = /^\s*(?:PCR-)?(\d{1,2})\s*:\s*(?:0x)?((?:[0-9a-fA-F]{2} ?)+)\s*$/;
/** `sha256:` of tpm2_pcrread, `pcrread: tsspcrread -halg sha1` of ima-evm-utils' samples. */
const BANK_LINE = /^(?:\s*([a-z0-9_-]+)\s*:|.*-halg\s+([a-z0-9-]+))\s*$/;

/**
 * PCR values from the text of the usual tools: tpm2_pcrread, tsspcrread, the sysfs file `pcrs` of TPM 1.2, and JSON with
 * `{"pcrs":{"sha256":{"0":"hex"}}}` as Assay prints it. Where the text names no bank, the values' size does.
 * @throws {ImaError} `ima.pcr-text` at the first line that is none of it, and where there is no value at all
 */
export function parsePcrText(text: string): PcrValues {
  if (text.length > MAX_TEXT)
    throw new ImaError('ima.pcr-text', `PCR values of ${text.length} characters are too long`);
  const values = text.trimStart().startsWith('{') ? jsonValues(text) : lineValues(text);
  const banks: { [bank in DigestAlgorithm]?: Record<string, string> } = {};
  for (const { bank, pcr, hex, line } of values) {
    if (digestInfo(bank).size * 2 !== hex.length) fail(line, `${hex.length / 2} bytes are no value of bank ${bank}`);
    const pcrs = banks[bank] ?? {};
    banks[bank] = pcrs;
    if (pcrs[pcr] !== undefined && pcrs[pcr] !== hex) fail(line, `PCR ${pcr} of bank ${bank} has two values`);
    pcrs[pcr] = hex;
  }
  if (Object.keys(banks).length === 0) fail(1, 'there is no PCR value');
  return banks;
}

interface Value {
  readonly bank: DigestAlgorithm;
  readonly pcr: number;
  readonly hex: string;
  readonly line: number;
}

function fail(line: number, detail: string): never {
  throw new ImaError(
    'ima.pcr-text',
    `PCR values, line ${line}: ${detail}`,
    'give the output of tpm2_pcrread, or of assay with --json',
  );
}

function lineValues(text: string): Value[] {
  const values: Value[] = [];
  let named: string | undefined;
  for (const [index, content] of text.split(/\r?\n/).entries()) {
    const line = index + 1;
    if (content.trim() === '') continue;
    const value = VALUE_LINE.exec(content);
    if (value === null) {
      const bank = BANK_LINE.exec(content);
      named = bank?.[1] ?? bank?.[2] ?? fail(line, 'neither a bank nor a PCR value');
      continue;
    }
    const hex = (value[2] ?? '').replaceAll(' ', '').toLowerCase();
    const bank =
      named ?? BANK_OF_SIZE.get(hex.length / 2) ?? fail(line, `no bank has values of ${hex.length / 2} bytes`);
    // tpm2_pcrread names banks that Assay cannot compute as well (sm3_256).
    if (isDigestAlgorithm(bank)) values.push({ bank, pcr: pcrNumber(value[1] ?? '', line), hex, line });
  }
  return values;
}

function pcrNumber(text: string, line: number): number {
  const pcr = Number(text);
  return Number.isInteger(pcr) && pcr >= 0 && pcr <= MAX_PCR ? pcr : fail(line, `there is no PCR ${text}`);
}

function jsonValues(text: string): Value[] {
  const document = parseJson(text);
  const banks = objectOf(objectOf(document)?.pcrs ?? document) ?? fail(1, 'no object of PCR banks');
  return Object.entries(banks).flatMap(([bank, pcrs]) => {
    if (!isDigestAlgorithm(bank)) return fail(1, `bank '${bank}' is not known`);
    return Object.entries(objectOf(pcrs) ?? fail(1, `bank ${bank} is no object`)).map(([pcr, hex]) => {
      if (typeof hex !== 'string' || !/^(?:[0-9a-fA-F]{2})+$/.test(hex)) return fail(1, `PCR ${pcr} is not hex`);
      return { bank, pcr: pcrNumber(pcr, 1), hex: hex.toLowerCase(), line: 1 };
    });
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return fail(1, 'the JSON is broken');
  }
}

function objectOf(value: unknown): Record<string, unknown> | undefined {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? Object.fromEntries(Object.entries(value)) : undefined;
}
