/** PEM (RFC 7468) as far as it must be taken apart here: what the blocks are called, and each by itself. */

export interface PemBlock {
  /** `CERTIFICATE`, `RSA PRIVATE KEY`, … */
  readonly label: string;
  /** The block, boundaries and all. */
  readonly text: string;
  /** What the base64 between holds; empty where headers (RFC 1421 encryption) stand before it. */
  readonly bytes: Buffer;
}

const BEGIN = '-----BEGIN ';
const END = '-----END ';

/**
 * The blocks of a text in their order; none for bytes that are no PEM. Text around them is for people. Each byte is
 * looked at a fixed number of times: a block that another boundary ends is left out whole.
 */
export function pemBlocks(bytes: Uint8Array): PemBlock[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  const blocks: PemBlock[] = [];
  for (let at = text.indexOf(BEGIN); at >= 0; ) {
    const ending = text.indexOf(END, at);
    if (ending < 0) break;
    const block = blockOf(text, at, ending);
    if (block !== undefined) blocks.push(block);
    at = text.indexOf(BEGIN, ending);
  }
  return blocks;
}

function blockOf(text: string, at: number, ending: number): PemBlock | undefined {
  const label = /^[A-Z0-9 ]{1,64}(?=-----\r?\n)/.exec(text.slice(at + BEGIN.length, at + BEGIN.length + 80))?.[0];
  if (label === undefined || !text.startsWith(`${label}-----`, ending + END.length)) return undefined;
  const body = text.slice(at + BEGIN.length + label.length + 5, ending);
  const block = text.slice(at, ending + END.length + label.length + 5);
  return { label, text: `${block}\n`, bytes: Buffer.from(body.includes(':') ? '' : body, 'base64') };
}
