import { asListed, isExactPath, type PathMatcher, pathMatcher } from './glob.ts';
import type { FileJudgement } from './judgement.ts';
import { manifestId } from './manifest.ts';
import { templateHashes, templateKey } from './template-key.ts';
import { type TemplateHashes, TemplateKeySet } from './template-key-set.ts';
import type { DenyRule, FileReference, PendingFile, ReferenceManifest, TaggedDigest } from './types.ts';

/** Judgements of misses that are remembered, for the whole fleet. */
const MAX_REMEMBERED = 100_000;

/** Entries of longer templates that are remembered; as many as there are approved files, where those are more. */
const MIN_RECOGNISED = 1024;

/** Collisions can be made for these, so they never approve by themselves. */
const WEAK_ALGORITHMS: ReadonlySet<string> = new Set(['md5', 'sha1']);

interface GlobReference {
  readonly matches: PathMatcher;
  readonly file: FileReference;
}

interface CompiledDenyRule {
  readonly rule: DenyRule;
  readonly matches: PathMatcher;
}

/**
 * A manifest made ready for look-ups, once: nothing is parsed per attestation.
 *
 * Each approved (path, digest) stands in `approved` under the SHA-256 of its `ima-ng` template data; denials were taken
 * out. What is not there goes the slow way of `judge`, whose answers are remembered by the same key.
 */
export class CompiledReference {
  /** SHA-256 of the manifest's canonical form, hex; a change makes the verifier judge again. */
  readonly id: string;
  readonly manifest: ReferenceManifest;
  /** Keys of `templateKey`. An entry of `ima-ng` whose key is here is approved, path and digest. */
  readonly approved: TemplateKeySet;
  #recognised = new TemplateKeySet();
  readonly #files: ReadonlyMap<string, FileReference>;
  readonly #globs: readonly GlobReference[];
  readonly #pending: ReadonlyMap<string, PendingFile>;
  readonly #denyPaths: ReadonlyMap<string, readonly DenyRule[]>;
  readonly #denyRules: readonly CompiledDenyRule[];
  readonly #denyDigests: ReadonlyMap<string, DenyRule>;
  readonly #mayViolate: readonly PathMatcher[];
  readonly #remembered = new Map<string, FileJudgement>();
  #pathsByDigest: ReadonlyMap<string, string> | undefined;

  constructor(manifest: ReferenceManifest) {
    this.manifest = manifest;
    this.id = manifestId(manifest);
    this.#denyDigests = new Map(
      manifest.deny.flatMap((rule) =>
        rule.digest !== undefined && rule.path === undefined ? [[rule.digest, rule]] : [],
      ),
    );
    this.#denyPaths = denyRulesByPath(manifest.deny);
    this.#denyRules = manifest.deny.flatMap((rule) =>
      rule.path === undefined || isExactPath(rule.path) ? [] : [{ rule, matches: pathMatcher(rule.path) }],
    );
    this.#files = byListedPath(manifest.files);
    this.#globs = manifest.files.flatMap((file) =>
      isExactPath(file.path) ? [] : [{ file, matches: pathMatcher(file.path) }],
    );
    this.#pending = new Map(manifest.pending.map((file) => [pendingKey(asListed(file.path), file.digest), file]));
    this.#mayViolate = (manifest.violations ?? []).map(pathMatcher);
    this.approved = this.#approvedKeys();
  }

  /** True where the manifest's deadline has passed: it denies still, and approves nothing any more. */
  hasExpired(now: number): boolean {
    return this.manifest.validUntil !== undefined && now > this.manifest.validUntil;
  }

  /** The rule that denies this file, if one does. */
  deniedBy(path: string, digest: TaggedDigest): DenyRule | undefined {
    const byDigest = this.#denyDigests.get(digest);
    if (byDigest !== undefined) return byDigest;
    const byPath = this.#denyPaths.get(path)?.find((rule) => rule.digest === undefined || rule.digest === digest);
    if (byPath !== undefined) return byPath;
    for (const { rule, matches } of this.#denyRules) {
      if ((rule.digest === undefined || rule.digest === digest) && matches(path)) return rule;
    }
    return undefined;
  }

  /** A violation on this path is expected (`violations` of the manifest). */
  mayViolate(path: string): boolean {
    return this.#mayViolate.some((matches) => matches(path));
  }

  /**
   * Whole template data that began with an approved key, as it was seen (`recognise`): entries of ima-sig and other
   * longer templates are then found by the one hash that the replay computes anyway. Its keys hold for templates that
   * have a `leadingKey` and for no others.
   */
  get recognised(): TemplateKeySet {
    return this.#recognised;
  }

  /** Remembers an entry that its `leadingKey` approved. Signatures are the host's to choose, so their number is bounded. */
  recognise(hashes: TemplateHashes): void {
    if (this.#recognised.add(hashes)) return;
    this.#recognised = new TemplateKeySet([hashes], Math.max(MIN_RECOGNISED, this.approved.size));
  }

  /** @param path as the list has it, with `_` for each space */
  judge(path: string, digest: TaggedDigest): FileJudgement {
    const key = templateKey(path, digest);
    const known = this.#remembered.get(key);
    if (known !== undefined) return known;
    const judgement = this.#judge(path, digest);
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    this.#remembered.set(key, judgement);
    return judgement;
  }

  #judge(path: string, digest: TaggedDigest): FileJudgement {
    const rule = this.deniedBy(path, digest);
    if (rule !== undefined) return { kind: 'denied', rule };
    const references = this.#referencesFor(path);
    const approving = references.find((file) => file.digests.includes(digest));
    if (approving !== undefined) return { kind: 'approved', weak: isWeak(digest), origin: approving.origin };
    const expected = references.flatMap((file) => file.digests);
    const pending = this.#pending.get(pendingKey(path, digest));
    if (pending !== undefined) return { kind: 'pending', file: pending, expected };
    if (references.length > 0) return { kind: 'changed', expected, origin: references[0]?.origin };
    return { kind: 'unknown', contentOf: isWeak(digest) ? undefined : this.#pathOf(digest) };
  }

  #referencesFor(path: string): readonly FileReference[] {
    const exact = this.#files.get(path);
    const globs = this.#globs.filter(({ matches }) => matches(path)).map(({ file }) => file);
    return exact === undefined ? globs : [exact, ...globs];
  }

  #pathOf(digest: TaggedDigest): string | undefined {
    this.#pathsByDigest ??= new Map(
      this.manifest.files.flatMap(({ path, digests }) => digests.map((each): [string, string] => [each, path])),
    );
    return this.#pathsByDigest.get(digest);
  }

  #approvedKeys(): TemplateKeySet {
    const members: TemplateHashes[] = [];
    for (const [path, file] of this.#files) {
      for (const digest of file.digests) {
        if (!isWeak(digest) && this.deniedBy(path, digest) === undefined) members.push(templateHashes(path, digest));
      }
    }
    return new TemplateKeySet(members);
  }
}

/** Compiles once what is looked up ever after. Some 0.5 s for 100,000 files. */
export function compileReference(manifest: ReferenceManifest): CompiledReference {
  return new CompiledReference(manifest);
}

/**
 * Exact paths as a list shows them; entries for one path are one. A path with spaces stands here as the kernel lists it
 * (`_`) and as it is, because a measurer in user space may keep the spaces.
 */
function byListedPath(files: readonly FileReference[]): Map<string, FileReference> {
  const byPath = new Map<string, FileReference>();
  for (const file of files) {
    if (!isExactPath(file.path)) continue;
    for (const path of new Set([file.path, asListed(file.path)])) {
      const other = byPath.get(path);
      byPath.set(path, other === undefined ? file : { ...other, digests: [...other.digests, ...file.digests] });
    }
  }
  return byPath;
}

function denyRulesByPath(rules: readonly DenyRule[]): Map<string, DenyRule[]> {
  const byPath = new Map<string, DenyRule[]>();
  for (const rule of rules) {
    if (rule.path === undefined || !isExactPath(rule.path)) continue;
    for (const path of new Set([rule.path, asListed(rule.path)])) byPath.set(path, [...(byPath.get(path) ?? []), rule]);
  }
  return byPath;
}

function pendingKey(path: string, digest: TaggedDigest): string {
  return `${digest} ${path}`;
}

function isWeak(digest: TaggedDigest): boolean {
  return WEAK_ALGORITHMS.has(digest.slice(0, digest.lastIndexOf(':')));
}
