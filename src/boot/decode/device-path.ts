import { type ByteReader, ParseError, toHex } from '../../bytes/index.ts';
import { mediaNode } from './device-path-media.ts';
import { messagingNode } from './device-path-messaging.ts';
import { acpiNode, bbsNode, hardwareNode, type NodeText } from './device-path-platform.ts';

/** An EFI device path: where something is, from the root of the machine on. */
export interface DevicePath {
  /**
   * In UEFI's text form (UEFI 2.10, 10.6), `PciRoot(0x0)/Pci(0x1F,0x2)/HD(1,GPT,…)/File(\EFI\…)`; a file is `File(…)` as
   * efibootmgr has it, and a node that is not known or malformed `Path(type,sub-type,hex)`.
   */
  readonly text: string;
  /** The file's path on its volume, where the path ends in one. */
  readonly file: string | undefined;
  /** The GUID of the partition (GPT), where the path names one. */
  readonly partition: string | undefined;
  /** An End node closed it; without one the bytes ran out. */
  readonly ended: boolean;
}

const NODE_HEADER_SIZE = 4;
/** Real paths have some ten. */
const MAX_NODES = 1024;
const END = 0x7f;
const END_OF_ENTIRE_PATH = 0xff;
const FILE = /^File\((.*)\)$/s;
const PARTITION = /^HD\(\d+,GPT,([0-9a-f-]{36})/;

/**
 * One device path, up to its end node or the end of the bytes. A node's length is at least its head, so each step goes on.
 * @throws {ParseError} where a node's length is less than its head, or more than there is; above {@link MAX_NODES}
 */
export function readDevicePath(reader: ByteReader): DevicePath {
  const instances: string[][] = [[]];
  let ended = false;
  for (let count = 0; reader.remaining > 0 && !ended; count++) {
    const at = reader.offset;
    if (count === MAX_NODES) reader.fail('parse.too-large', 'device path', `more than ${MAX_NODES} nodes`);
    const type = reader.u8('device path node, type');
    const subType = reader.u8('device path node, sub-type');
    const length = reader.u16le('device path node, length');
    if (length < NODE_HEADER_SIZE) {
      reader.fail('parse.invalid', 'device path node, length', `${length} bytes are less than its head`, at + 2);
    }
    const body = reader.section(length - NODE_HEADER_SIZE, 'device path node');
    if (type !== END) instances.at(-1)?.push(nodeText(type, subType, body));
    else if (subType === END_OF_ENTIRE_PATH) ended = true;
    else instances.push([]);
  }
  const nodes = instances.flat();
  return {
    text: instances.map((instance) => instance.join('/')).join(','),
    file: joinedFile(nodes),
    partition: nodes.map((node) => PARTITION.exec(node)?.[1]).find((guid) => guid !== undefined),
    ended,
  };
}

/** Firmware splits a file's path over several nodes as it likes (UEFI 2.10, 10.3.5.4). */
function joinedFile(nodes: readonly string[]): string | undefined {
  const parts = nodes.flatMap((node) => FILE.exec(node)?.[1] ?? []);
  return parts.length === 0 ? undefined : parts.join('\\').replace(/\\{2,}/g, '\\');
}

const NODES: Readonly<Record<number, NodeText>> = {
  1: hardwareNode,
  2: acpiNode,
  3: messagingNode,
  4: mediaNode,
  5: bbsNode,
};

function nodeText(type: number, subType: number, body: ByteReader): string {
  const raw = body.bytes(body.remaining, 'device path node');
  try {
    const text = NODES[type]?.(subType, raw);
    if (text !== undefined) return text;
  } catch (error) {
    if (!(error instanceof ParseError)) throw error; // a node shorter than its fields is shown as it is
  }
  return `Path(${type},${subType}${raw.length === 0 ? '' : `,${toHex(raw)}`})`;
}
