/** What no longer verifies: keys (kernel: keyring `.ima_blacklist`) and hashes of files (`.blacklist`, `certs/blacklist.c`). */
import { DigsigError } from './error.ts';
import { type IntegrityKey, readPublicKeys } from './public-keys.ts';

export interface Blacklist {
  readonly keys: readonly IntegrityKey[];
  /** Digests in lower-case hexadecimal, of whatever algorithm. */
  readonly hashes: ReadonlySet<string>;
}

/** A line of CONFIG_SYSTEM_BLACKLIST_HASH_LIST, which stands in quotes there, or the description of such a key. */
const HASH_LINE = /^"?(bin|tbs):([0-9a-f]+)"?,?$/i;
/** Only a list of hashes is text of this kind. */
const IS_LIST = /^\s*(#[^\n]*\n\s*)*"?(bin|tbs):/;

/**
 * One file of a blacklist: certificates or public keys as `readPublicKeys` takes them, or hashes, a line `bin:HEX` each.
 * @throws {DigsigError} `digsig.not-a-key` for anything else; also for `tbs:`, a certificate's hash: name the certificate
 */
export function readBlacklist(bytes: Uint8Array, { source }: { readonly source: string }): Blacklist {
  const text = Buffer.from(bytes).toString('latin1');
  if (!IS_LIST.test(text)) return { keys: readPublicKeys(bytes, { source }), hashes: new Set() };
  const hashes = new Set<string>();
  for (const [index, line] of text.split('\n').entries()) {
    const words = line.trim();
    if (words !== '' && !words.startsWith('#')) hashes.add(hashOf(words, `${source}, line ${index + 1}`));
  }
  return { keys: [], hashes };
}

/** Of at least 16 bytes, MD5's, and at most 64. */
function hashOf(line: string, place: string): string {
  const [, kind, hex = ''] = HASH_LINE.exec(line) ?? [];
  if (kind?.toLowerCase() === 'tbs') {
    throw new DigsigError('digsig.not-a-key', `${place}: the hash of a certificate's body`, {
      advice: 'name the certificate itself',
    });
  }
  if (kind === undefined || hex.length % 2 !== 0 || hex.length < 32 || hex.length > 128) {
    throw new DigsigError('digsig.not-a-key', `${place}: not bin: and a digest in hexadecimal`);
  }
  return hex.toLowerCase();
}
