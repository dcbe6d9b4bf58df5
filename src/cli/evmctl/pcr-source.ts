/** PCR values from `--pcrs` files, or from this machine's TPM as the kernel shows it. */
import { isDigestAlgorithm } from '../../bytes/index.ts';
import { type PcrValues, parsePcrText } from '../../ima/index.ts';
import { machinePcrs } from '../machine-pcrs.ts';
import { EvmctlError } from './error.ts';
import { readBounded, reason } from './keys.ts';
import type { EvmctlOptions } from './options.ts';

/**
 * @returns undefined where no file is named and this machine shows no PCR
 * @throws {EvmctlError} `evmctl.usage` for a bank that is none, `evmctl.file`; {@link ImaError} `ima.pcr-text` for text that
 *   holds no PCR value, never an empty answer
 */
export function pcrValues({ pcrs }: EvmctlOptions): PcrValues | undefined {
  if (pcrs.length === 0) return machinePcrs();
  return Object.assign({}, ...pcrs.map(fileValues));
}

/** `FILE`, or `ALGORITHM,FILE` where the text does not say which bank it is. */
function fileValues(argument: string): PcrValues {
  const comma = argument.indexOf(',');
  const bank = comma < 0 ? undefined : argument.slice(0, comma);
  const path = argument.slice(comma + 1);
  if (bank !== undefined && !isDigestAlgorithm(bank)) {
    throw new EvmctlError('evmctl.usage', `--pcrs ${argument}: '${bank}' is no bank`, { advice: 'write sha256,FILE' });
  }
  const values = parseFile(path);
  const [only] = Object.keys(values);
  if (bank === undefined || bank === only) return values;
  throw new EvmctlError('evmctl.file', `${path}: holds bank ${only ?? 'none'}, not ${bank}`);
}

function parseFile(path: string): PcrValues {
  const text = readBounded(path).toString('latin1');
  try {
    return parsePcrText(text);
  } catch (cause) {
    throw new EvmctlError('evmctl.file', `${path}: ${reason(cause)}`, { cause });
  }
}
