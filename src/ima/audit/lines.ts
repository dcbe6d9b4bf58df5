/** A stream of bytes cut into lines, each of bounded length. */

export interface Line {
  /** One character a byte, without its end; of a line longer than {@link MAX_LINE} the beginning. */
  readonly text: string;
  /** Counted from 1. */
  readonly number: number;
}

/** A record of the journal in JSON may give each byte as a number. */
export const MAX_LINE = 262_144;

const NEWLINE = 0x0a;

export class LineCutter {
  /** The line that has not ended yet; at most {@link MAX_LINE} bytes of it. */
  #begun: Buffer[] = [];
  #length = 0;
  #number = 0;

  push(chunk: Buffer): Line[] {
    const lines: Line[] = [];
    let at = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, at)) {
      this.#keep(chunk.subarray(at, end));
      lines.push(this.#take());
      at = end + 1;
    }
    this.#keep(chunk.subarray(at));
    return lines;
  }

  /** A last line that has no end. */
  end(): Line[] {
    return this.#length === 0 ? [] : [this.#take()];
  }

  #keep(part: Buffer): void {
    const kept = part.subarray(0, MAX_LINE - this.#length);
    // A copy: the caller may fill its buffer again.
    if (kept.length > 0) this.#begun.push(Buffer.from(kept));
    this.#length += kept.length;
  }

  #take(): Line {
    this.#number += 1;
    const line = { text: Buffer.concat(this.#begun).toString('latin1'), number: this.#number };
    this.#begun = [];
    this.#length = 0;
    return line;
  }
}
