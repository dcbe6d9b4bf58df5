/** `--pcrs 0,1,7`. */
import { InvalidArgumentError } from 'commander';

/** Ascending, each once. @throws {InvalidArgumentError} where it is no list of PCR numbers */
export function parsePcrs(text: string): number[] {
  const pcrs = [...new Set(text.split(',').map(Number))].sort((a, b) => a - b);
  if (!/^\d+(,\d+)*$/.test(text) || pcrs.some((pcr) => pcr > 23)) {
    throw new InvalidArgumentError('PCRs are numbers from 0 to 23 with commas between them');
  }
  return pcrs;
}
