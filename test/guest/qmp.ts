/** QEMU's monitor protocol: a command, an answer, events in between (docs/interop/qmp-spec). */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

interface Answer {
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
}

export class Qmp {
  readonly #socket: Socket;
  readonly #answers: AsyncIterator<string>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#answers = createInterface({ input: socket })[Symbol.asyncIterator]();
  }

  /** Waits until the machine listens there. */
  static async connect(path: string): Promise<Qmp> {
    while (!existsSync(path)) await sleep(20);
    const socket = connect(path);
    socket.on('error', () => undefined); // the machine has ended
    await once(socket, 'connect');
    const qmp = new Qmp(socket);
    await qmp.ask('qmp_capabilities');
    return qmp;
  }

  async ask(execute: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    this.#socket.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    for (;;) {
      const { value, done } = await this.#answers.next();
      if (done === true) throw new Error(`the machine ended before it answered ${execute}`);
      const answer: Answer = JSON.parse(value);
      if (answer.error !== undefined) throw new Error(`${execute}: ${answer.error.desc}`);
      if (answer.return !== undefined) return answer.return;
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}
