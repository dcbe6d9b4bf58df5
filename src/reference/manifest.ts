/** Reads a manifest: every value checked, every key known; and its canonical form, from which its identity comes. */
import { digest, toHex } from '../bytes/index.ts';
import { bootReference, canonicalBoot } from './boot-section.ts';
import { byText, sortedKeys } from './canonical.ts';
import { knownKeys, list, malformed, present, record, taggedDigest, text, truth, wholeNumber } from './check.ts';
import { ManifestError } from './error.ts';
import { countWildcards, isExactPath, MAX_DOUBLE_STARS, MAX_STARS } from './glob.ts';
import type { BootReference, DenyRule, FileReference, PendingFile, ReferenceManifest } from './types.ts';

/** A distribution's whole file list with two digests each has some 60 MB. */
export const MAX_MANIFEST_BYTES = 256 * 1024 * 1024;
const MAX_FILES = 2_000_000;
const MAX_RULES = 100_000;
const PENDING_REASONS = ['unpackaged', 'modified', 'no-checksum', 'replaced'] as const;

/** @throws {ManifestError} with the JSONPath of what is wrong */
export function parseManifest(json: string): ReferenceManifest {
  return checkManifest(parseJson(json));
}

function parseJson(json: string): unknown {
  if (json.length > MAX_MANIFEST_BYTES) {
    throw new ManifestError('reference.too-large', '$', `${json.length} characters, ${MAX_MANIFEST_BYTES} are allowed`);
  }
  try {
    return JSON.parse(json);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new ManifestError('reference.malformed', '$', `not JSON: ${detail}`);
  }
}

/** The boot section of a manifest, or one that stands alone. @throws {ManifestError} */
export function parseBootReference(json: string): BootReference | undefined {
  const value = parseJson(json);
  const isManifest = typeof value === 'object' && value !== null && 'assayReference' in value;
  return isManifest ? checkManifest(value).boot : bootReference(value, '$');
}

/** Checks a manifest that was parsed elsewhere. @throws {ManifestError} */
export function checkManifest(value: unknown): ReferenceManifest {
  const root = record(value, '$');
  if (root.get('assayReference') !== 1) {
    const known = root.has('assayReference');
    const detail = known ? 'only version 1 is known' : 'is missing: this is no reference manifest';
    throw new ManifestError(known ? 'reference.unknown-version' : 'reference.malformed', '$.assayReference', detail);
  }
  knownKeys(root, '$', [
    'assayReference',
    'name',
    'created',
    'self',
    'validUntil',
    'boot',
    'files',
    'pending',
    'violations',
    'deny',
  ]);
  return {
    assayReference: 1,
    name: text(root.get('name'), '$.name'),
    created: text(root.get('created'), '$.created'),
    self: truth(root.get('self'), '$.self'),
    ...present('validUntil', root, '$', wholeNumber),
    ...present('boot', root, '$', bootReference),
    files: list(root.get('files'), '$.files', MAX_FILES, fileReference),
    pending: list(root.get('pending'), '$.pending', MAX_FILES, pendingFile),
    ...present('violations', root, '$', (item, place) => list(item, place, MAX_RULES, pattern)),
    deny: list(root.get('deny'), '$.deny', MAX_RULES, denyRule),
  };
}

/** One text for equal manifests: keys in a fixed order, lists sorted, digests in lower case. */
export function canonicalManifest(manifest: ReferenceManifest): string {
  const files = manifest.files.map((file) => sortedKeys({ ...file, digests: [...file.digests].sort() }));
  return JSON.stringify({
    ...sortedKeys(manifest),
    ...(manifest.boot === undefined ? {} : { boot: canonicalBoot(manifest.boot) }),
    files: byText(files),
    pending: byText(manifest.pending.map(sortedKeys)),
    ...(manifest.violations === undefined ? {} : { violations: [...manifest.violations].sort() }),
    deny: byText(manifest.deny.map(sortedKeys)),
  });
}

/** SHA-256 of the canonical form, hex. */
export function manifestId(manifest: ReferenceManifest): string {
  return toHex(digest('sha256', Buffer.from(canonicalManifest(manifest))));
}

function fileReference(value: unknown, place: string): FileReference {
  const file = record(value, place);
  knownKeys(file, place, ['path', 'digests', 'origin']);
  const digests = list(file.get('digests'), `${place}.digests`, 64, taggedDigest);
  if (digests.length === 0) malformed(`${place}.digests`, 'is empty: a file without digests would allow nothing');
  return { path: pattern(file.get('path'), `${place}.path`), digests, ...present('origin', file, place, text) };
}

function pendingFile(value: unknown, place: string): PendingFile {
  const file = record(value, place);
  knownKeys(file, place, ['path', 'digest', 'reason', 'origin']);
  const reason = PENDING_REASONS.find((known) => known === file.get('reason'));
  if (reason === undefined) return malformed(`${place}.reason`, `must be one of ${PENDING_REASONS.join(', ')}`);
  return {
    path: text(file.get('path'), `${place}.path`),
    digest: taggedDigest(file.get('digest'), `${place}.digest`),
    reason,
    ...present('origin', file, place, text),
  };
}

function denyRule(value: unknown, place: string): DenyRule {
  const rule = record(value, place);
  knownKeys(rule, place, ['path', 'digest', 'reason']);
  if (!rule.has('path') && !rule.has('digest')) malformed(place, 'names neither a path nor a digest');
  return {
    ...present('path', rule, place, pattern),
    ...present('digest', rule, place, taggedDigest),
    reason: text(rule.get('reason'), `${place}.reason`),
  };
}

/** A path, or a glob: from the root, or `**` first. */
function pattern(value: unknown, place: string): string {
  const path = text(value, place);
  if (!path.startsWith('/') && !path.startsWith('**')) malformed(place, "must begin with '/' (or '**')");
  if (isExactPath(path)) return path;
  const { stars, doubleStars } = countWildcards(path);
  if (stars > MAX_STARS || doubleStars > MAX_DOUBLE_STARS) {
    const detail = `${stars} '*' and ${doubleStars} '**', ${MAX_STARS} and ${MAX_DOUBLE_STARS} are allowed`;
    throw new ManifestError('reference.too-large', place, detail);
  }
  return path;
}
