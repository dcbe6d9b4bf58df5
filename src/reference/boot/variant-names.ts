/** What a variant is called: by what its events say, not by their digests. */
import { type BootLog, type DecodedEvent, decodeEvent, type Signature } from '../../boot/index.ts';
import type { MeasuredEvent, ObservedComponent } from './observe.ts';

const LONGEST_NAME = 160;

/** Names of images by their digest in hex, in whichever bank: from files that were at hand. */
export type ImageNames = ReadonlyMap<string, string>;

/**
 * A name for people, of a boot that is approved: payloads name it where digests vouch for them; of an image, whose digest
 * is over its file, the path that the log gives does, unless a file with this digest was at hand.
 * @returns undefined where nothing tells it
 */
export function variantName(
  { part, events }: ObservedComponent,
  log: BootLog | undefined,
  images: ImageNames,
): string | undefined {
  const [first] = events;
  if (first === undefined) return 'none';
  if (first.meaning !== undefined) return short(first.meaning);
  const labels = events.map(
    (event) => nameFromFile(event, images) ?? event.label ?? (event.event && log && textOf(part, event.event, log)),
  );
  const told = [...new Set(labels.flatMap((label) => (label === undefined || label === '' ? [] : [label])))];
  return told.length === 0 ? undefined : short(told.join(', '));
}

function short(text: string): string {
  return text.length <= LONGEST_NAME ? text : `${text.slice(0, LONGEST_NAME - 1)}…`;
}

function nameFromFile({ digests }: MeasuredEvent, images: ImageNames): string | undefined {
  return Object.values(digests)
    .map((value) => images.get(value))
    .find((name) => name !== undefined);
}

function textOf(part: string, event: NonNullable<MeasuredEvent['event']>, log: BootLog): string | undefined {
  const decoded = decodeEvent(event, log);
  const { payload } = decoded;
  if (payload.kind === 'image-load') return payload.devicePath.file?.split('\\').at(-1);
  if (decoded.vouched !== 'digest') return undefined;
  switch (payload.kind) {
    case 'text':
      return part === 'firmware' ? payload.text.trim() : undefined;
    case 'variable':
      return variableText(decoded);
    case 'ipl':
      return part === 'command line' ? payload.text : undefined;
    case 'gpt':
      return `disk ${payload.diskGuid}`;
    default:
      return undefined;
  }
}

function variableText({ payload }: DecodedEvent): string | undefined {
  if (payload.kind !== 'variable') return undefined;
  const { name, value } = payload;
  switch (value?.kind) {
    case 'boolean':
      return value.value ? 'on' : 'off';
    case 'sbat-level':
      return `SBAT level ${value.date}`;
    case 'authority':
      return signer(value.signature);
    case 'signature-lists': {
      const all = value.lists.flatMap(({ signatures }) => signatures);
      if (name === 'dbx') return `dbx with ${all.length} ${all.length === 1 ? 'entry' : 'entries'}`;
      return name === 'PK' ? all.map(signer).find((subject) => subject !== undefined) : undefined;
    }
    default:
      return name === 'SecureBoot' && payload.data.length === 0 ? 'off' : undefined;
  }
}

function signer({ content }: Signature): string | undefined {
  if (content.kind !== 'x509') return undefined;
  return /(?:^|,\s*|\n)CN=([^,\n]+)/.exec(content.subject)?.[1] ?? content.subject;
}
