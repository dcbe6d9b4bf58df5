/** A boot that was predicted from files, as the events that its log will have. */
import { type BootLog, type Measurement, measurementDigest, type Prediction } from '../../boot/index.ts';
import { type DigestAlgorithm, ParseError, toHex } from '../../bytes/index.ts';
import type { EventDigests } from './components.ts';
import { imageName } from './image-names.ts';
import { type MeasuredEvent, observedEvents } from './observe.ts';
import { IMAGE, PARTITION_TABLE, type Part, partOfPcr, partOfVariable, SHIM_REVOCATIONS } from './parts.ts';

/**
 * Only of PCRs that were predicted: of the others nothing is said. Phases are left out: systemd extends them after the
 * firmware's log ends.
 * @param base the log that the prediction took the firmware's records from
 */
export function predictedEvents(
  { measurements }: Prediction,
  banks: readonly DigestAlgorithm[],
  base: BootLog | undefined,
): MeasuredEvent[] {
  const observed = new Map((base === undefined ? [] : observedEvents(base)).map((one) => [one.event?.index, one]));
  return measurements
    .filter(({ pcr, what }) => !(pcr === 11 && what.startsWith('phase ')))
    .map((measurement): MeasuredEvent => {
      const { pcr, event } = measurement;
      const digests = digestsOf(measurement, banks);
      const kept = event === undefined ? undefined : observed.get(event.index);
      if (kept !== undefined) return { ...kept, digests };
      const label = labelOf(measurement);
      const part = partOfMeasurement(measurement);
      return { pcr, part, event, digests, meaning: undefined, ...(label === undefined ? {} : { label }) };
    });
}

function digestsOf(measurement: Measurement, banks: readonly DigestAlgorithm[]): EventDigests {
  return Object.fromEntries(banks.map((bank) => [bank, toHex(measurementDigest(measurement, bank))]));
}

function partOfMeasurement({ pcr, what, over }: Measurement): Part {
  if ('image' in over) return IMAGE;
  if (what.startsWith('variable ')) return partOfVariable(what.slice('variable '.length), pcr);
  if (what === 'partition table') return PARTITION_TABLE;
  if (what === 'authority SbatLevel') return SHIM_REVOCATIONS;
  if (pcr === 9 && what === 'initrd') return { name: 'initrd', match: 'whole' };
  return commandLine(what) === undefined ? partOfPcr(pcr) : { name: 'command line', match: 'whole' };
}

function labelOf({ what, source, over }: Measurement): string | undefined {
  if ('image' in over) return imageLabel(source, over.image);
  return what === 'initrd' ? source : commandLine(what);
}

const commandLine = (what: string): string | undefined => /^(?:load options|kernel_cmdline): (.*)$/s.exec(what)?.[1];

function imageLabel(source: string, bytes: Uint8Array): string {
  try {
    return imageName({ name: source, bytes });
  } catch (error) {
    if (error instanceof ParseError) return source;
    throw error;
  }
}
