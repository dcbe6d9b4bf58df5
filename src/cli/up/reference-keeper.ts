/**
 * This machine's own reference: what dpkg says of each file that was measured. It grows with what runs, so that a program
 * of a package is never an unknown file; what no package vouches for waits for a person.
 */

import type { MeasuredFile } from '../../agent/index.ts';
import { compileReference, judgeHostFiles, type ReferenceManifest } from '../../reference/index.ts';
import type { RunningServer } from '../../server/index.ts';

export class ReferenceKeeper {
  readonly #server: RunningServer;
  readonly #id: string;
  /** Paths of the programs that "try it" changes: approved by the demonstration, never by dpkg. */
  readonly #isOurs: (path: string) => boolean;
  #waiting: MeasuredFile[] = [];
  #settling: Promise<boolean> = Promise.resolve(false);

  constructor(server: RunningServer, id: string, isOurs: (path: string) => boolean) {
    this.#server = server;
    this.#id = id;
    this.#isOurs = isOurs;
  }

  /** Takes note of files that were listed; `settle` looks at them. What could not be measured is nobody's to approve. */
  note(files: readonly MeasuredFile[]): void {
    const measured = files.filter(({ unmeasured }) => unmeasured === undefined);
    this.#waiting.push(...measured.filter(({ path }) => !this.#isOurs(Buffer.from(path).toString())));
  }

  /** Brings the reference up to all files noted so far; true where it changed. */
  settle(): Promise<boolean> {
    this.#settling = this.#settling.then(
      () => this.#extend(),
      () => this.#extend(),
    );
    return this.#settling;
  }

  /** Changes the stored manifest in turn with `settle`. */
  change(edit: (manifest: ReferenceManifest) => ReferenceManifest): Promise<boolean> {
    this.#settling = this.#settling.then(
      () => this.#store(edit),
      () => this.#store(edit),
    );
    return this.#settling;
  }

  async #extend(): Promise<boolean> {
    const files = this.#waiting;
    this.#waiting = [];
    if (files.length === 0) return false;
    const judged = judgeHostFiles(files);
    return await this.#store((manifest) => withJudged(manifest, judged));
  }

  async #store(edit: (manifest: ReferenceManifest) => ReferenceManifest): Promise<boolean> {
    const old = (await this.#server.reference(this.#id)) ?? emptyReference(this.#id);
    const next = edit(old);
    if (compileReference(next).id === compileReference(old).id) return false;
    await this.#server.putReference(this.#id, next);
    return true;
  }
}

export function emptyReference(name: string): ReferenceManifest {
  return { assayReference: 1, name, created: new Date().toISOString(), self: true, files: [], pending: [], deny: [] };
}

/**
 * Adds what dpkg vouches for. Nothing is taken away and nothing that waits is approved: of a path that is known already,
 * another digest is added only where a package ships it so (it was upgraded).
 */
export function withJudged(manifest: ReferenceManifest, judged: ReturnType<typeof judgeHostFiles>): ReferenceManifest {
  const known = new Set(manifest.files.flatMap(({ path, digests }) => digests.map((digest) => `${path}\0${digest}`)));
  const waiting = new Set(manifest.pending.map(({ path, digest }) => `${path}\0${digest}`));
  const files = [...manifest.files];
  const pending = [...manifest.pending];
  for (const { kind, file } of judged) {
    if (kind === 'shipped') {
      if (!file.digests.every((digest) => known.has(`${file.path}\0${digest}`))) files.push(file);
    } else if (!waiting.has(`${file.path}\0${file.digest}`) && !known.has(`${file.path}\0${file.digest}`)) {
      pending.push(file);
    }
  }
  return { ...manifest, files, pending };
}
