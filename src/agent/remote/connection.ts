/** The way to the server: HTTP with kept connections; TLS with the server's certificate pinned by its fingerprint. */
import http from 'node:http';
import https from 'node:https';
import tls from 'node:tls';
import { AgentError } from '../error.ts';

export interface ServerAddress {
  /** `https://host:port`, or `http://127.0.0.1:port` on loopback. */
  readonly url: string;
  /** SHA-256 of the server's certificate in hex; left out: the machine's certificate authorities decide. */
  readonly fingerprint?: string;
}

/** Larger than any answer: a chain of findings is bounded by the codec. */
const MAX_ANSWER = 16 * 1024 * 1024;
const TIMEOUT_MS = 30_000;
/** For a whole request, whatever the peer is at: a timeout of silence alone lets an answer trickle for ever. */
const DEADLINE_MS = 120_000;
const CBOR = 'application/cbor';

export class ServerConnection {
  readonly #base: URL;
  readonly #agent: http.Agent;
  readonly #deadline: number;

  /**
   * @param options.deadline ms for a whole request, the handshake included
   * @throws {AgentError} `agent.server-address` for plain HTTP to another machine
   */
  constructor(address: ServerAddress, options: { deadline?: number } = {}) {
    this.#deadline = options.deadline ?? DEADLINE_MS;
    this.#base = parseBase(address.url);
    this.#agent =
      this.#base.protocol === 'http:'
        ? new http.Agent({ keepAlive: true })
        : pinnedAgent(address.fingerprint, Math.min(this.#deadline, TIMEOUT_MS));
  }

  get url(): string {
    return this.#base.origin;
  }

  /**
   * Posts one message.
   * @param token bearer token, a secret
   * @throws {AgentError} `agent.refused` with the server's code and words, `agent.server-unreachable`
   */
  async post(path: string, body: Uint8Array, token?: string): Promise<Uint8Array> {
    const { status, content } = await this.#request(path, body, token);
    if (status === 200) return content;
    throw refusal(this.url, status, content);
  }

  close(): void {
    this.#agent.destroy();
  }

  #request(path: string, body: Uint8Array, token: string | undefined): Promise<{ status: number; content: Buffer }> {
    const { request } = this.#base.protocol === 'http:' ? http : https;
    const headers: http.OutgoingHttpHeaders = { 'content-type': CBOR, 'content-length': body.length };
    if (token !== undefined) headers.authorization = `Bearer ${token}`;
    return new Promise((resolve, reject) => {
      const outgoing = request(new URL(path, this.#base), { method: 'POST', agent: this.#agent, headers });
      const late = setTimeout(() => outgoing.destroy(noAnswer(this.#deadline)), this.#deadline);
      outgoing.on('close', () => clearTimeout(late));
      const fail = (cause: unknown) => reject(cause instanceof AgentError ? cause : unreachable(this.url, cause));
      outgoing.setTimeout(TIMEOUT_MS, () => outgoing.destroy(noAnswer(TIMEOUT_MS)));
      outgoing.on('error', fail);
      outgoing.on('response', (answer) => {
        readBounded(answer).then((content) => resolve({ status: answer.statusCode ?? 0, content }), fail);
      });
      outgoing.end(body);
    });
  }
}

function noAnswer(milliseconds: number): Error {
  return new Error(`no answer within ${milliseconds / 1000} s`);
}

function parseBase(url: string): URL {
  const base = URL.canParse(url) ? new URL(url) : undefined;
  const isLoopback = base !== undefined && ['127.0.0.1', '[::1]', 'localhost'].includes(base.hostname);
  if (base?.protocol === 'https:' || (base?.protocol === 'http:' && isLoopback)) return base;
  throw new AgentError('agent.server-address', `'${url}' is no address of a server`, {
    advice: 'write https://HOST:PORT; plain http is for this machine itself only',
  });
}

/** Without a fingerprint an ordinary agent; with one, a connection is used only after its certificate was compared. */
function pinnedAgent(fingerprint: string | undefined, handshakeTime: number): http.Agent {
  if (fingerprint === undefined) return new https.Agent({ keepAlive: true });
  const wanted = fingerprint
    .replace(/^sha256:/, '')
    .replaceAll(':', '')
    .toLowerCase();
  const agent = new https.Agent({ keepAlive: true });
  agent.createConnection = (options, callback) => {
    const { host = '', port } = options as tls.ConnectionOptions; // what https.Agent hands to tls.connect
    const socket = tls.connect({
      host: host ?? '',
      port: Number(port),
      rejectUnauthorized: false,
      ALPNProtocols: ['http/1.1'],
    });
    // The request has no socket yet: its own timeouts do not reach this one.
    const late = setTimeout(() => socket.destroy(noAnswer(handshakeTime)), handshakeTime);
    socket.once('close', () => clearTimeout(late));
    socket.once('error', (error) => callback?.(error, socket));
    socket.once('secureConnect', () => {
      clearTimeout(late);
      const found = socket.getPeerCertificate().fingerprint256?.replaceAll(':', '').toLowerCase();
      if (found === wanted) return callback?.(null, socket);
      socket.destroy();
      callback?.(wrongCertificate(found), socket);
    });
    return undefined;
  };
  return agent;
}

function wrongCertificate(found: string | undefined): AgentError {
  return new AgentError('agent.server-untrusted', `the server's certificate is another (sha256:${found ?? 'none'})`, {
    advice: 'somebody stands in between, or the server has a new certificate: compare with the server’s own words',
  });
}

async function readBounded(answer: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER) throw new Error(`an answer of more than ${MAX_ANSWER} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** What node:tls says where no authority of the machine vouches for the certificate (X509_verify_cert's reasons, and the name). */
const UNTRUSTED =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|CERT_|ERR_TLS_CERT_ALTNAME_INVALID)/;

function unreachable(url: string, cause: unknown): AgentError {
  if (cause instanceof Error && 'code' in cause && UNTRUSTED.test(String(cause.code))) {
    return new AgentError(
      'agent.server-untrusted',
      `no authority of this machine vouches for ${url}: ${cause.message}`,
      {
        advice:
          'give --fingerprint sha256:…, which the server prints when it starts and its dashboard shows with the join line',
        cause,
      },
    );
  }
  const detail = cause instanceof Error ? cause.message : String(cause);
  return new AgentError('agent.server-unreachable', `no answer from ${url}: ${detail}`, {
    advice: 'look whether the server runs and the address is right',
    cause,
  });
}

/** What the server said no with: `{ code, message, advice }`. Its words are shown, its code decides what to do next. */
export class RefusedError extends AgentError {
  readonly refusal: string;

  constructor(refusal: string, message: string, advice: string | undefined) {
    super('agent.refused', message, advice === undefined ? {} : { advice });
    this.refusal = refusal;
  }
}

function refusal(url: string, status: number, content: Buffer): AgentError {
  const answer = parseJson(content.toString('utf8'));
  const text = (key: string): string | undefined =>
    typeof answer === 'object' && answer !== null && key in answer
      ? String((answer as Record<string, unknown>)[key])
      : undefined;
  const code = text('code');
  if (code === undefined) return unreachable(url, new Error(`HTTP status ${status}`));
  return new RefusedError(code, `the server refuses: ${text('message') ?? code} (${code})`, text('advice'));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
