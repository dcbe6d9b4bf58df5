/** An enrolment as a file: what `verify --enrolment` reads and a server gives out. */
import { AssayError, fromHex, toHex } from '../bytes/index.ts';
import type { PcrBank } from '../evidence/index.ts';
import type { Enrolment } from './types.ts';

export class EnrolmentRecordError extends AssayError {
  readonly code = 'enrolment.malformed';

  constructor(place: string, detail: string) {
    super(`enrolment record, ${place}: ${detail}`, { advice: 'export the record from the server again' });
  }
}

const BANKS: readonly PcrBank[] = ['sha256', 'sha384', 'sha512', 'sm3'];

export function writeEnrolmentRecord(enrolment: Enrolment): string {
  const { hostId, akPublic, selection, measurer, assurance } = enrolment;
  return JSON.stringify({
    assayEnrolment: 1,
    hostId,
    akPublic: toHex(akPublic),
    selection,
    measurer,
    ...(assurance === undefined ? {} : { assurance }),
  });
}

/** @throws {EnrolmentRecordError} with the place of what is wrong */
export function parseEnrolmentRecord(json: string): Enrolment {
  const root = record(parse(json), '$');
  if (root.get('assayEnrolment') !== 1) throw new EnrolmentRecordError('$.assayEnrolment', 'must be 1');
  const selection = record(root.get('selection'), '$.selection');
  const assurance = root.has('assurance')
    ? oneOf(root.get('assurance'), ['hardware', 'swtpm', 'demonstration'] as const, '$.assurance')
    : undefined;
  return {
    hostId: text(root.get('hostId'), '$.hostId'),
    akPublic: fromHex(text(root.get('akPublic'), '$.akPublic'), '$.akPublic'),
    selection: {
      bank: digestBank(selection.get('bank'), '$.selection.bank'),
      pcrs: pcrList(selection.get('pcrs'), '$.selection.pcrs'),
    },
    measurer: oneOf(root.get('measurer'), ['kernel', 'user-space'] as const, '$.measurer'),
    assurance,
  };
}

/** PCR numbers, ascending and each once. */
function pcrList(value: unknown, place: string): number[] {
  const numbers: unknown[] = Array.isArray(value) ? value : [];
  const pcrs = numbers.flatMap((pcr) => (typeof pcr === 'number' && Number.isInteger(pcr) ? [pcr] : []));
  const ascends = pcrs.every((pcr, i) => pcr >= 0 && pcr <= 23 && pcr > (pcrs[i - 1] ?? -1));
  if (pcrs.length === 0 || pcrs.length !== numbers.length || !ascends) {
    throw new EnrolmentRecordError(place, 'must be PCR numbers, ascending');
  }
  return pcrs;
}

function digestBank(value: unknown, place: string): PcrBank {
  return oneOf(value, BANKS, place);
}

function oneOf<T extends string>(value: unknown, allowed: readonly T[], place: string): T {
  const found = allowed.find((each) => each === value);
  if (found === undefined) throw new EnrolmentRecordError(place, `must be one of ${allowed.join(', ')}`);
  return found;
}

function text(value: unknown, place: string): string {
  if (typeof value !== 'string') throw new EnrolmentRecordError(place, 'must be text');
  return value;
}

function record(value: unknown, place: string): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new EnrolmentRecordError(place, 'must be an object');
  }
  return new Map(Object.entries(value));
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new EnrolmentRecordError('$', `not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}
