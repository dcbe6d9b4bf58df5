/**
 * What one TPM takes of what Part 2 declares. A declaration names everything that some TPM knows, which is what a client
 * reads with; a TPM answers what it does not implement as if it did not exist (Part 2, 4.6: the `#TPM_RC_…` of a table).
 */
import { ByteReader } from '../../bytes/index.ts';

export interface Profile {
  /** By type: the names of a closed set that are implemented. A type that is left out has all of its own. */
  readonly values: ReadonlyMap<string, ReadonlySet<string>>;
  /** By type: the numbers that are implemented, as of key sizes. */
  readonly numbers: ReadonlyMap<string, ReadonlySet<number>>;
  /** By type: the most bytes of a buffer or elements of a list, where they are fewer than declared. */
  readonly maxima: ReadonlyMap<string, number>;
  /** By TPM_HT: how many handles of a kind there are. A kind that is left out has all 2^24. */
  readonly handles: ReadonlyMap<number, number>;
}

/** Reads as the TPM of that profile does. */
export class ProfiledReader extends ByteReader {
  readonly profile: Profile;

  constructor(bytes: Uint8Array, profile: Profile, base = 0) {
    super(bytes, base);
    this.profile = profile;
  }

  override section(length: number, what: string): ProfiledReader {
    const base = this.offset;
    return new ProfiledReader(this.bytes(length, what), this.profile, base);
  }
}

/** Undefined for a client, which takes all that is declared. */
export function profileOf(reader: ByteReader): Profile | undefined {
  return reader instanceof ProfiledReader ? reader.profile : undefined;
}

/** The most bytes or elements of a type. */
export function maximumOf(reader: ByteReader, name: string, declared: number): number {
  return Math.min(declared, profileOf(reader)?.maxima.get(name) ?? declared);
}
