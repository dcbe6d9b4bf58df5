import { AssayError } from '../bytes/index.ts';

export type ManifestErrorCode =
  /** Not JSON, or JSON that is no reference manifest. */
  | 'reference.malformed'
  /** Above the bound of a size or count. */
  | 'reference.too-large'
  /** A manifest of a version that this Assay does not know. */
  | 'reference.unknown-version';

/** What is wrong with a reference manifest, and where. */
export class ManifestError extends AssayError {
  readonly code: ManifestErrorCode;
  /** JSONPath of the offending value: `$.files[3].digests[0]`. */
  readonly place: string;

  constructor(code: ManifestErrorCode, place: string, detail: string) {
    super(`reference manifest, ${place}: ${detail}`, { advice: 'correct it, or make it anew' });
    this.code = code;
    this.place = place;
  }
}
