/** Many paths in one buffer, each ended by a NUL: what threads hand each other, and what the kernel takes. */

const FIRST_SIZE = 1 << 14;
const SLASH = 0x2f;

/** Appends paths; `take` gives what was appended and starts anew. */
export class PathList {
  #bytes = Buffer.allocUnsafeSlow(FIRST_SIZE);
  #length = 0;
  count = 0;

  /** @param name ends with a NUL @param folder without one; empty for the root */
  add(folder: Uint8Array, name: Uint8Array): void {
    const needed = this.#length + folder.length + 1 + name.length;
    if (needed > this.#bytes.length) this.#grow(needed);
    if (folder.length > 0) {
      this.#bytes.set(folder, this.#length);
      this.#length += folder.length;
      this.#bytes[this.#length++] = SLASH;
    }
    this.#bytes.set(name, this.#length);
    this.#length += name.length;
    this.count += 1;
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }

  take(): Uint8Array {
    const taken = new Uint8Array(this.#bytes.subarray(0, this.#length));
    this.#length = 0;
    this.count = 0;
    return taken;
  }
}

/** Each path with the NUL that ends it; a view. */
export function* eachPath(paths: Uint8Array): Generator<Buffer> {
  const bytes = Buffer.from(paths.buffer, paths.byteOffset, paths.byteLength);
  for (let at = 0; at < bytes.length; ) {
    const next = bytes.indexOf(0, at) + 1;
    yield bytes.subarray(at, next);
    at = next;
  }
}

/** A copy without the NUL that ends it. */
export const withoutNul = (path: Uint8Array): Uint8Array => new Uint8Array(path.subarray(0, path.length - 1));
