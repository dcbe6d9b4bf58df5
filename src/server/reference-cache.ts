/** References compiled once and kept; the store holds the manifests. */
import type { CompiledReference, ReferenceManifest } from '../reference/index.ts';
import { findReference } from './store/references.ts';
import type { Db } from './store/store.ts';

/** Compiled references that are kept; a fleet has few and many hosts share one. */
const KEPT = 64;

export class ReferenceCache {
  readonly #db: Db;
  readonly #compile: (manifest: ReferenceManifest) => CompiledReference;
  readonly #compiled = new Map<string, CompiledReference>();

  constructor(db: Db, compile: (manifest: ReferenceManifest) => CompiledReference) {
    this.#db = db;
    this.#compile = compile;
  }

  /** The compiled reference; undefined where none is stored under this id. */
  async get(id: string): Promise<CompiledReference | undefined> {
    const known = this.#compiled.get(id);
    if (known !== undefined) return known;
    const stored = await findReference(this.#db, id);
    if (stored === undefined) return undefined;
    const compiled = this.#compile(stored.manifest);
    this.set(id, compiled);
    return compiled;
  }

  /** To be called once a new manifest is durable. */
  set(id: string, compiled: CompiledReference): void {
    this.#compiled.delete(id);
    this.#compiled.set(id, compiled);
    const oldest = this.#compiled.keys().next();
    if (this.#compiled.size > KEPT && oldest.done !== true) this.#compiled.delete(oldest.value);
  }
}
