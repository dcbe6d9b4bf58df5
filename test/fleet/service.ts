/** A real server on loopback with a real store in a folder of its own, and clients that speak to it as agents do. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import {
  ActivationRequestCodec,
  type Challenge,
  ChallengeCodec,
  type EnrolmentAnswer,
  EnrolmentAnswerCodec,
  EnrolmentChallengeCodec,
  type EnrolmentRequest,
  EnrolmentRequestCodec,
  type Evidence,
  type EvidenceAnswer,
  EvidenceAnswerCodec,
  EvidenceCodec,
  type MessageCodec,
} from '../../src/evidence/index.ts';
import { type RunningServer, type ServerOptions, startServer } from '../../src/server/index.ts';
import { type TestAuthority, testAuthority } from './authority.ts';
import { JUDGEMENT } from './judgement.ts';
import { SimulatedHost, type SimulatedHostOptions } from './simulated-host.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Refused {
  readonly code: string;
  readonly message: string;
  readonly advice: string | null;
}

/** An answer other than 200. */
export class RefusedError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, body: Buffer) {
    const refused: Refused = JSON.parse(body.toString('utf8'));
    super(`${status} ${refused.code}: ${refused.message}`);
    this.status = status;
    this.code = refused.code;
  }
}

export interface Sending {
  readonly method?: string;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
}

/** What an agent knows of its server: address, pinned certificate. */
export class Client {
  readonly url: string;
  readonly #agent: Agent | HttpAgent;

  constructor(url: string, certificatePem: string, sockets = 16) {
    this.url = url;
    this.#agent = url.startsWith('https:')
      ? new Agent({ keepAlive: true, maxSockets: sockets, ca: certificatePem, checkServerIdentity: () => undefined })
      : new HttpAgent({ keepAlive: true, maxSockets: sockets });
  }

  send(path: string, { method = 'GET', token, headers = {}, body }: Sending = {}): Promise<Answer> {
    const secret = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const options = { agent: this.#agent, method, headers: { ...secret, ...length, ...headers } };
    return new Promise((resolve, reject) => {
      const request = this.url.startsWith('https:') ? httpsRequest : httpRequest;
      const sent = request(`${this.url}${path}`, options, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', reject);
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }),
        );
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }

  /** JSON both ways. @throws {RefusedError} for anything but 2xx */
  async json(path: string, sending: Omit<Sending, 'body'> & { readonly body?: unknown } = {}): Promise<unknown> {
    const { body, ...rest } = sending;
    const text = body === undefined ? {} : { body: JSON.stringify(body) };
    const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
    const answer = await this.send(path, { ...rest, ...text, headers: { ...type, ...rest.headers } });
    if (answer.status >= 300) throw new RefusedError(answer.status, answer.body);
    return answer.body.length === 0 ? undefined : JSON.parse(answer.body.toString('utf8'));
  }

  async cbor<T>(path: string, token: string | undefined, body: Uint8Array, codec: MessageCodec<T>): Promise<T> {
    const headers = { 'content-type': 'application/cbor' };
    const answer = await this.send(path, { method: 'POST', headers, body, ...(token === undefined ? {} : { token }) });
    if (answer.status !== 200) throw new RefusedError(answer.status, answer.body);
    return codec.decode(answer.body);
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Enrols as an agent does: two round trips. */
export async function enrol(
  client: Client,
  host: SimulatedHost,
  joinToken: string,
  overrides: Partial<EnrolmentRequest> = {},
): Promise<EnrolmentAnswer> {
  const asked = EnrolmentRequestCodec.encode(host.enrolment(overrides));
  const challenge = await client.cbor('/api/agent/enrol', joinToken, asked, EnrolmentChallengeCodec);
  const credential = host.activate(challenge);
  const back = ActivationRequestCodec.encode({ enrolmentId: challenge.enrolmentId, credential });
  return client.cbor('/api/agent/activate', undefined, back, EnrolmentAnswerCodec);
}

export function attest(client: Client, token: string, evidence: Evidence): Promise<EvidenceAnswer> {
  return client.cbor('/api/agent/evidence', token, EvidenceCodec.encode(evidence), EvidenceAnswerCodec);
}

export function freshChallenge(client: Client, token: string): Promise<Challenge> {
  return client.cbor('/api/agent/challenge', token, new Uint8Array(), ChallengeCodec);
}

export interface Service extends AsyncDisposable {
  readonly server: RunningServer;
  readonly dataFolder: string;
  readonly authority: TestAuthority;
  /** Through TLS. */
  readonly client: Client;
  /** Through the dashboard's listener. */
  readonly local: Client;
  host(options: Partial<SimulatedHostOptions> & { readonly name: string }): SimulatedHost;
}

/** Starts a service; disposing of it stops it and removes its folder. */
export async function startService(overrides: Partial<ServerOptions> = {}): Promise<Service> {
  const dataFolder = overrides.dataFolder ?? mkdtempSync(join(tmpdir(), 'assay-server-test-'));
  const authority = testAuthority('Test TPM maker');
  const server = await startServer({
    dataFolder,
    listeners: [
      { kind: 'dashboard', address: '127.0.0.1', port: 0 },
      { kind: 'tls', address: '127.0.0.1', port: 0 },
    ],
    judgement: JUDGEMENT,
    ekRoots: [{ certificate: authority.certificate, assurance: 'hardware' }],
    log: pino({ level: 'silent' }),
    ...overrides,
    settings: { requestsPerSecond: 100_000, ...overrides.settings },
  });
  const pem = readFileSync(join(dataFolder, 'server', 'tls.pem'), 'utf8');
  const [localUrl = '', tlsUrl = ''] = server.urls;
  const client = new Client(tlsUrl, pem);
  const local = new Client(localUrl, pem);
  return {
    server,
    dataFolder,
    authority,
    client,
    local,
    host: (options) => new SimulatedHost({ authority, ...options }),
    async [Symbol.asyncDispose]() {
      client.close();
      local.close();
      await server.stop();
      rmSync(dataFolder, { recursive: true, force: true });
    },
  };
}
