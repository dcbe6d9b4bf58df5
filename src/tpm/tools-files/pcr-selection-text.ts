/** PCR selections as tpm2-tools' `-l` takes them: `sha256:0,1,7+sha384:all` (tpm2-tools 5.4, lib/pcr.c: pcr_parse_selections). */
import { TpmError } from '../errors.ts';
import type { TPMI_ALG_HASH, TPML_PCR_SELECTION } from '../structures.ts';

const PCR_COUNT = 24;
const BANK_NAMES = ['sha1', 'sha256', 'sha384', 'sha512', 'sm3'] as const satisfies readonly TPMI_ALG_HASH[];
const ADVICE = 'write for example sha256:0,1,7,10 or sha256:all+sha384:0';

/** @throws {TpmError} `tpm.argument` */
export function parsePcrSelection(text: string): TPML_PCR_SELECTION {
  const banks = text.split('+').map(parseBank);
  const repeated = banks.find(({ hash }, i) => banks.findIndex((other) => other.hash === hash) !== i);
  if (repeated !== undefined) throw wrong(text, `${repeated.hash} is there twice`);
  return banks;
}

function parseBank(text: string): TPML_PCR_SELECTION[number] {
  const [name = '', list = ''] = text.split(/:(.*)/s);
  const hash = BANK_NAMES.find((bank) => bank === name);
  if (hash === undefined) throw wrong(text, `'${name}' is no PCR bank`);
  if (list === 'all') return { hash, pcrs: Array.from({ length: PCR_COUNT }, (_, pcr) => pcr) };
  const pcrs = list.split(',').map((number) => parsePcr(text, number));
  return { hash, pcrs: [...new Set(pcrs)].sort((a, b) => a - b) };
}

function parsePcr(text: string, number: string): number {
  const pcr = Number(number);
  if (/^\d{1,2}$/.test(number) && pcr < PCR_COUNT) return pcr;
  throw wrong(text, `'${number}' is no PCR, 0…${PCR_COUNT - 1}`);
}

function wrong(text: string, detail: string): TpmError {
  return new TpmError('tpm.argument', `PCR selection '${text}': ${detail}`, { advice: ADVICE });
}
