/** The guard's audit log: a file of records as auditd writes them, bounded in size and in what it takes a second. */
import { createWriteStream, renameSync, statSync, type WriteStream } from 'node:fs';
import { formatAuditLogLine, type IntegrityRecord } from '../ima/audit/index.ts';

/** The file then makes way for a new one; one old one is kept. */
const MAX_SIZE = 32 * 2 ** 20;
/** Records a second, beyond which they are only counted: who is refused in a loop must not fill the disk. */
const MAX_A_SECOND = 200;

export class RecordLog {
  readonly path: string;
  #stream: WriteStream;
  #size: number;
  #serial = 1;
  #second = 0;
  #thisSecond = 0;
  /** Records that were not written because too many came at once. */
  suppressed = 0;
  /** Why records cannot be written. */
  trouble: string | undefined;

  constructor(path: string) {
    this.path = path;
    this.#size = sizeOf(path);
    this.#stream = this.#open();
  }

  #open(): WriteStream {
    const stream = createWriteStream(this.path, { flags: 'a', mode: 0o600 });
    stream.on('error', (error) => {
      this.trouble = error.message;
    });
    return stream;
  }

  /** Never waits: what the disk does not take in time waits in memory, as far as there may be records at all. */
  write(record: IntegrityRecord, now = Date.now()): void {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#thisSecond = 0;
    }
    if (this.#thisSecond >= MAX_A_SECOND || this.#stream.writableLength > MAX_SIZE) {
      this.suppressed += 1;
      return;
    }
    this.#thisSecond += 1;
    const line = `${formatAuditLogLine({ seconds: second, millis: now % 1000, serial: this.#serial++ }, record)}\n`;
    if (this.#size + line.length > MAX_SIZE) this.#turn();
    this.#size += line.length;
    this.#stream.write(line);
  }

  #turn(): void {
    this.#stream.end();
    try {
      renameSync(this.path, `${this.path}.1`);
      this.#size = 0;
    } catch (error) {
      this.trouble = String(error);
    }
    this.#stream = this.#open();
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#stream.end(() => resolve()));
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}
