/** References compiled once and kept; the store holds the manifests. */
import type { CompiledReference, ReferenceManifest } from '../reference/index.ts';
import { findReference } from './store/references.ts';
import type { Db } from './store/store.ts';

/** Files of all references that are kept in memory, some 500 bytes each; the least used go first. */
const FILES_KEPT = 2_000_000;
/** What an id without a reference counts as. */
const EMPTY = 1;

export class ReferenceCache {
  readonly #db: Db;
  readonly #compile: (manifest: ReferenceManifest) => CompiledReference;
  /** Least used first. Undefined: there is none under this id; that is remembered as well. */
  readonly #compiled = new Map<string, CompiledReference | undefined>();
  #files = 0;

  constructor(db: Db, compile: (manifest: ReferenceManifest) => CompiledReference) {
    this.#db = db;
    this.#compile = compile;
  }

  /** The compiled reference; undefined where none is stored under this id. */
  async get(id: string): Promise<CompiledReference | undefined> {
    if (!this.#compiled.has(id)) {
      const stored = await findReference(this.#db, id);
      // A new manifest may have become durable since the read.
      if (!this.#compiled.has(id)) this.set(id, stored === undefined ? undefined : this.#compile(stored.manifest));
    }
    const compiled = this.#compiled.get(id);
    this.#compiled.delete(id);
    this.#compiled.set(id, compiled);
    return compiled;
  }

  /** To be called once a new manifest is durable. */
  set(id: string, compiled: CompiledReference | undefined): void {
    this.#drop(id);
    this.#compiled.set(id, compiled);
    this.#files += weightOf(compiled);
    for (const oldest of this.#compiled.keys()) {
      if (this.#files <= FILES_KEPT || oldest === id) break;
      this.#drop(oldest);
    }
  }

  #drop(id: string): void {
    if (!this.#compiled.has(id)) return;
    this.#files -= weightOf(this.#compiled.get(id));
    this.#compiled.delete(id);
  }
}

function weightOf(compiled: CompiledReference | undefined): number {
  return EMPTY + (compiled?.manifest.files.length ?? 0);
}
