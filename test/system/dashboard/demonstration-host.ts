/**
 * A host that demonstrates, attesting to a real server through its real API: the quotes, lists and verdicts that the
 * page shows are what the verifier made of them. Its TPM is keys of node:crypto (`test/fleet`).
 */
import type { Challenge } from '../../../src/evidence/index.ts';
import type { ReferenceManifest } from '../../../src/reference/index.ts';
import type { Demonstration, DemonstrationState } from '../../../src/server/index.ts';
import { attest, type Client, enrol, freshChallenge, type Service } from '../../fleet/service.ts';
import type { SimulatedHost } from '../../fleet/simulated-host.ts';

/** The copied program that is changed, and what it holds before and after. */
export const PROGRAM = '/var/lib/assay/demonstration/hello';
const GOOD = 'hello';
const CHANGED = 'hello, changed';

export class DemonstrationHost {
  readonly host: SimulatedHost;
  readonly id: string;
  readonly #client: Client;
  readonly #token: string;
  /** The list and its register as a boot begins them. */
  readonly #begun: { readonly imaLog: Buffer; readonly pcr10: Buffer };
  #challenge: Challenge | undefined;

  private constructor(host: SimulatedHost, client: Client, id: string, token: string) {
    this.host = host;
    this.#begun = { imaLog: host.imaLog, pcr10: host.pcr10 };
    this.#client = client;
    this.id = id;
    this.#token = token;
  }

  /** Enrols with a join token that allows demonstration. */
  static async enrolled(service: Service, name: string): Promise<DemonstrationHost> {
    const host = service.host({ name, tpmKind: 'software', measurer: 'user-space' });
    const joinToken = await service.server.joinToken({ label: name, demonstration: true });
    const { hostId, token } = await enrol(service.client, host, joinToken);
    return new DemonstrationHost(host, service.client, hostId, token);
  }

  /** One attestation, as often as the verifier asks for more. */
  async attest(): Promise<void> {
    for (;;) {
      this.#challenge ??= await freshChallenge(this.#client, this.#token);
      const answer = await attest(this.#client, this.#token, this.host.evidence(this.#challenge));
      this.#challenge = answer.next;
      if (!answer.retry) return;
    }
  }

  /** A new boot: registers and list begin anew, and the given files run. */
  async boot(files: Readonly<Record<string, string>>): Promise<void> {
    this.host.resetCount += 1;
    Object.assign(this.host, this.#begun);
    for (const [path, content] of Object.entries(files)) this.host.measure(path, content);
    await this.attest();
  }

  async run(path: string, content: string): Promise<void> {
    this.host.measure(path, content);
    await this.attest();
  }
}

/** What the page's "try it" does here: the changed program runs; undone by a boot in which it does not. */
export class Trial implements Demonstration {
  host: DemonstrationHost | undefined;
  #state: DemonstrationState['state'] = 'clean';

  state(): DemonstrationState {
    return { available: true, state: this.#state, program: PROGRAM };
  }

  async tamper(): Promise<void> {
    this.#state = 'tampered';
    await this.host?.run(PROGRAM, CHANGED);
  }

  async undo(): Promise<void> {
    this.#state = 'clean';
    await this.host?.boot({ [PROGRAM]: GOOD });
  }
}

interface FileContent {
  readonly path: string;
  readonly sha256: string;
}

/** Approves the good content of `files`; `waiting` ones wait for a person. */
export function referenceFor(files: readonly FileContent[], waiting: readonly FileContent[] = []): ReferenceManifest {
  return {
    assayReference: 1,
    name: 'dashboard test',
    created: '2026-01-01T00:00:00Z',
    self: false,
    files: files.map(({ path, sha256 }) => ({ path, digests: [`sha256:${sha256}`] })),
    pending: waiting.map(({ path, sha256 }) => ({ path, digest: `sha256:${sha256}`, reason: 'unpackaged' })),
    deny: [],
  };
}
