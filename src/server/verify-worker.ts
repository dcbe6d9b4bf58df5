/** Entry of the thread that verifies long lists, one at a time. Compiled references stay here, by their identity. */
import { parentPort, workerData } from 'node:worker_threads';
import type { CompiledReference } from '../reference/index.ts';
import type { Judgement } from './judgement.ts';
import { type FromVerifyThread, movable, type ToVerifyThread, type VerifyThreadData } from './verify-thread.ts';

/** As many files of references as are kept compiled, some 500 bytes each; the least used go first. */
const FILES_KEPT = 500_000;

type Send = (message: FromVerifyThread, moved?: ArrayBuffer[]) => void;
type Asked = Extract<ToVerifyThread, { kind: 'verify' }>;

class VerifyThread {
  readonly #judgement: Judgement;
  readonly #send: Send;
  /** Least used first. */
  readonly #compiled = new Map<string, CompiledReference>();
  #waiting: Asked | undefined;

  constructor(judgement: Judgement, send: Send) {
    this.#judgement = judgement;
    this.#send = send;
  }

  take(message: ToVerifyThread): void {
    try {
      if (message.kind === 'reference') this.#keep(this.#judgement.compileReference(message.manifest));
      const asked = message.kind === 'verify' ? message : this.#waiting;
      if (asked !== undefined) this.#verify(asked);
    } catch (error) {
      this.#send({ kind: 'fault', error });
    }
  }

  #verify(asked: Asked): void {
    const { input, referenceId } = asked;
    const reference = referenceId === undefined ? undefined : this.#used(referenceId);
    const needsReference = referenceId !== undefined && reference === undefined;
    this.#waiting = needsReference ? asked : undefined;
    if (needsReference) {
      this.#send({ kind: 'needs-reference' });
      return;
    }
    const result = this.#judgement.verify({ ...input, reference });
    const { imaLog } = input.evidence;
    this.#send({ kind: 'result', result, imaLog }, movable(imaLog));
  }

  #used(id: string): CompiledReference | undefined {
    const compiled = this.#compiled.get(id);
    if (compiled === undefined) return undefined;
    this.#compiled.delete(id);
    this.#compiled.set(id, compiled);
    return compiled;
  }

  #keep(compiled: CompiledReference): void {
    this.#compiled.set(compiled.id, compiled);
    let files = 0;
    for (const { manifest } of this.#compiled.values()) files += manifest.files.length;
    for (const [id, { manifest }] of this.#compiled) {
      if (files <= FILES_KEPT || id === compiled.id) break;
      this.#compiled.delete(id);
      files -= manifest.files.length;
    }
  }
}

async function judgementOf({ module: url }: VerifyThreadData): Promise<Judgement> {
  const module: unknown = await import(url);
  if (hasJudgement(module)) return module.JUDGEMENT;
  throw new TypeError(`${url} exports no JUDGEMENT`);
}

function hasJudgement(module: unknown): module is { readonly JUDGEMENT: Judgement } {
  return typeof module === 'object' && module !== null && 'JUDGEMENT' in module;
}

if (parentPort !== null) {
  const port = parentPort;
  const thread = new VerifyThread(await judgementOf(workerData), (message, moved) => port.postMessage(message, moved));
  port.on('message', (message: ToVerifyThread) => thread.take(message));
}
