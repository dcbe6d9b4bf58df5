/** The components of a boot against the reference's. */
import { type BootEvent, type BootLog, decodeEvent, eventTypeName } from '../boot/index.ts';
import { type DigestAlgorithm, toHex } from '../bytes/index.ts';
import { type BootComponent, type BootDifference, judgeComponents, type Quirk } from '../reference/index.ts';
import { cut, finding } from './sentence.ts';
import type { Finding } from './types.ts';

/** As many variants are named in a message; a fleet may have thousands. */
const NAMED_VARIANTS = 5;
const LONGEST_QUOTE = 200;

/** @param proven the PCRs whose quoted value the log replays to: components of others are not judged */
export function judgeBootComponents(
  components: readonly BootComponent[],
  log: BootLog,
  bank: DigestAlgorithm,
  proven: ReadonlySet<number>,
): Finding[] {
  if (components.length === 0) return [];
  const events = new Map(log.events.map((event) => [event.index, event]));
  const differences = judgeComponents(components, log, bank, proven).map((difference) => {
    const index = 'event' in difference ? difference.event : undefined;
    return differenceFinding(difference, index === undefined ? undefined : events.get(index), log, bank);
  });
  return [...differences, ...components.flatMap(leftOut)];
}

function leftOut({ name, pcr, anything }: BootComponent): Finding[] {
  if (anything === undefined) return [];
  return [finding('boot.component-left-out', `PCR ${pcr}`, `Component '${name}' is not judged: ${anything}`)];
}

export function quirkFinding({ name, version, firmware, fault, source }: Quirk): Finding {
  return finding('boot.quirk', 'firmware log', `${firmware}: ${fault} (quirk ${name}, version ${version}; ${source})`);
}

function differenceFinding(
  difference: BootDifference,
  event: BootEvent | undefined,
  log: BootLog,
  bank: DigestAlgorithm,
): Finding {
  const { component, pcr } = difference;
  const subject = `PCR ${pcr}`;
  const details = event === undefined ? {} : foundIn(event, bank);
  const at = event === undefined ? '' : `, from event ${event.index} on (${describeEvent(event, log, bank)}),`;
  switch (difference.kind) {
    case 'unknown-component':
      return finding(
        'boot.component-unknown',
        subject,
        `Component '${component}'${at} is not in the reference`,
        details,
      );
    case 'unknown-variant': {
      const what =
        event === undefined
          ? `Component '${component}' lacks events that every variant of the reference has`
          : `Component '${component}'${at} is no variant of the reference`;
      return finding('boot.component-changed', subject, what, { ...details, expected: listed(difference.known) });
    }
    case 'missing': {
      const expected = listed(difference.known);
      return finding('boot.component-missing', subject, `Component '${component}' was not measured`, { expected });
    }
    case 'not-together': {
      const { variant, other, otherVariant, allowed } = difference;
      const what = `Component '${component}' is '${variant}', which does not go with '${otherVariant}' of component '${other}'`;
      return finding('boot.component-combination', subject, what, { expected: listed(allowed), found: otherVariant });
    }
  }
}

function foundIn({ index, pcr, digests }: BootEvent, bank: DigestAlgorithm): Pick<Finding, 'position' | 'found'> {
  const value = digests.find(({ algorithm }) => algorithm === bank)?.value;
  return {
    position: { log: 'boot', index, pcr },
    ...(value === undefined ? {} : { found: `${bank}:${toHex(value)}` }),
  };
}

function listed(names: readonly string[]): string {
  const more = names.length - NAMED_VARIANTS;
  return `${names.slice(0, NAMED_VARIANTS).join(' or ')}${more > 0 ? `, or one of ${more} more` : ''}`;
}

/** The payload is quoted only where the digest vouches for it. */
function describeEvent(event: BootEvent, log: BootLog, bank: DigestAlgorithm): string {
  const type = eventTypeName(event.type);
  const { vouched, payload } = decodeEvent(event, log, bank);
  if (vouched !== 'digest') return type;
  switch (payload.kind) {
    case 'text':
    case 'action':
    case 'ipl':
      return `${type} '${cut(payload.text, LONGEST_QUOTE)}'`;
    case 'variable':
      return payload.value?.kind === 'load-option'
        ? `${type} '${cut(payload.value.description, LONGEST_QUOTE)}'`
        : `${type} ${cut(payload.name, LONGEST_QUOTE)}`;
    default:
      return type;
  }
}
