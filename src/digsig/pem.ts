/** PEM (RFC 7468) as far as it must be taken apart here: what the blocks are called, and each by itself. */

export interface PemBlock {
  /** `CERTIFICATE`, `RSA PRIVATE KEY`, … */
  readonly label: string;
  /** The block, boundaries and all. */
  readonly text: string;
  /** What the base64 between holds; empty where headers (RFC 1421 encryption) stand before it. */
  readonly bytes: Buffer;
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]{1,64})-----\r?\n([^-]*)-----END \1-----/g;

/** The blocks of a text in their order; none for bytes that are no PEM. Text around them is for people. */
export function pemBlocks(bytes: Uint8Array): PemBlock[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  return [...text.matchAll(BLOCK)].map(([block, label = '', body = '']) => ({
    label,
    text: block,
    bytes: Buffer.from(body.includes(':') ? '' : body, 'base64'),
  }));
}
