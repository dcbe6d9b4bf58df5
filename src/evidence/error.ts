import { AssayError } from '../bytes/index.ts';
import { REFUSALS, type RefusalCode } from './refusals.ts';

export type EvidenceErrorCode = Extract<RefusalCode, 'evidence.malformed' | 'evidence.too-large'>;

/** A message that is not what it should be; nothing of it is used. */
export class EvidenceError extends AssayError {
  readonly code: EvidenceErrorCode;
  /** The field, as a path into the message: `evidence.quote.pcrs.sha256.10`. */
  readonly place: string;
  /** Offset of the offending CBOR item from the start of the message. */
  readonly offset: number;

  constructor(code: EvidenceErrorCode, place: string, offset: number, detail: string) {
    super(`${place}: ${detail} (at byte ${offset})`, { advice: REFUSALS[code].advice });
    this.code = code;
    this.place = place;
    this.offset = offset;
  }
}
