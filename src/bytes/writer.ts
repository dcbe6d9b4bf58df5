/** Builds bytes front to back; grows by doubling. An integer out of its field's range is truncated as DataView does: callers check. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#view.setUint8(this.#reserve(1), value);
    return this;
  }

  u16be(value: number): this {
    this.#view.setUint16(this.#reserve(2), value);
    return this;
  }

  u32be(value: number): this {
    this.#view.setUint32(this.#reserve(4), value);
    return this;
  }

  u64be(value: bigint): this {
    this.#view.setBigUint64(this.#reserve(8), value);
    return this;
  }

  u16le(value: number): this {
    this.#view.setUint16(this.#reserve(2), value, true);
    return this;
  }

  u32le(value: number): this {
    this.#view.setUint32(this.#reserve(4), value, true);
    return this;
  }

  u64le(value: bigint): this {
    this.#view.setBigUint64(this.#reserve(8), value, true);
    return this;
  }

  bytes(value: Uint8Array): this {
    this.#bytes.set(value, this.#reserve(value.length));
    return this;
  }

  /** Overwrites a big-endian u16 written before; for length prefixes that are known only afterwards. */
  patchU16be(offset: number, value: number): this {
    this.#view.setUint16(offset, value);
    return this;
  }

  /** Overwrites a big-endian u32 written before. */
  patchU32be(offset: number, value: number): this {
    this.#view.setUint32(offset, value);
    return this;
  }

  /** A copy of what has been written. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(size: number): number {
    const start = this.#length;
    const end = start + size;
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(end, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, start));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = end;
    return start;
  }
}
