/**
 * One kept TLS connection that posts evidence and reads the answer, one at a time. For load: a benchmark's hosts share
 * the machine with the server that they measure, and node:http's client costs them more than their signatures.
 */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';

const HEAD_END = Buffer.from('\r\n\r\n');

export class SteadyConnection {
  readonly #socket: TLSSocket;
  readonly #host: string;
  #received: Buffer[] = [];
  #waiting: PromiseWithResolvers<Buffer> | undefined;

  private constructor(socket: TLSSocket, host: string) {
    this.#socket = socket;
    this.#host = host;
    socket.on('data', (part: Buffer) => this.#take(part));
    socket.on('error', (error) => this.#waiting?.reject(error));
    socket.on('close', () => this.#waiting?.reject(new Error('the server closed the connection')));
  }

  static async open(url: string, certificatePem: string): Promise<SteadyConnection> {
    const { hostname, port, host } = new URL(url);
    const socket = connect({
      host: hostname,
      port: Number(port),
      ca: certificatePem,
      checkServerIdentity: () => undefined,
    });
    socket.setNoDelay(true);
    await once(socket, 'secureConnect');
    return new SteadyConnection(socket, host);
  }

  /** The body of the answer. @throws {Error} for any status but 200 */
  post(path: string, token: string, body: Uint8Array): Promise<Buffer> {
    const head = `POST ${path} HTTP/1.1\r\nhost: ${this.#host}\r\nauthorization: Bearer ${token}\r\ncontent-type: application/cbor\r\ncontent-length: ${body.length}\r\n\r\n`;
    this.#waiting = Promise.withResolvers();
    this.#socket.write(Buffer.concat([Buffer.from(head, 'latin1'), body]));
    return this.#waiting.promise;
  }

  close(): void {
    this.#waiting = undefined;
    this.#socket.destroy();
  }

  #take(part: Buffer): void {
    this.#received.push(part);
    const all = this.#received.length === 1 ? part : Buffer.concat(this.#received);
    const headEnd = all.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const head = all.toString('latin1', 0, headEnd);
    const start = headEnd + HEAD_END.length;
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]);
    if (!Number.isInteger(length)) this.#waiting?.reject(new Error(`an answer without a length: ${head}`));
    if (!(all.length >= start + length)) return;
    this.#received = [];
    const body = all.subarray(start, start + length);
    if (head.startsWith('HTTP/1.1 200 ')) this.#waiting?.resolve(body);
    else this.#waiting?.reject(new Error(`${head.split('\r\n', 1)[0]}: ${body.toString('utf8')}`));
  }
}
