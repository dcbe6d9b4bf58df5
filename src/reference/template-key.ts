import { hash } from 'node:crypto';
import { fromHex } from '../bytes/index.ts';
import { encodePath } from '../ima/index.ts';
import type { TemplateHashes } from './template-key-set.ts';
import type { TaggedDigest } from './types.ts';

/**
 * SHA-256 of the `ima-ng` template data of (path, digest), one character a byte: what the replay of a list computes for
 * such an entry anyway, so one look-up judges path and digest together.
 *
 * Kernel: ima_template_lib.c:ima_eventdigest_ng_init, ima_eventname_ng_init; little endian.
 */
export function templateKey(path: string, digest: TaggedDigest): string {
  return hash('sha256', imaNgData(path, digest), 'binary');
}

/** The key, and the template digest that the kernel's default list stores with such an entry. */
export function templateHashes(path: string, digest: TaggedDigest): TemplateHashes {
  const data = imaNgData(path, digest);
  return { sha256: hash('sha256', data, 'binary'), sha1: hash('sha1', data, 'binary') };
}

/** u32 length ‖ `<algorithm>:` NUL digest ‖ u32 length ‖ path NUL. */
export function imaNgData(path: string, digest: TaggedDigest): Buffer {
  const colon = digest.lastIndexOf(':');
  const algorithm = Buffer.from(digest.slice(0, colon + 1), 'latin1');
  const value = fromHex(digest.slice(colon + 1), 'digest');
  const name = encodePath(path);
  const digestSize = algorithm.length + 1 + value.length;
  const data = Buffer.alloc(4 + digestSize + 4 + name.length + 1);
  data.writeUInt32LE(digestSize, 0);
  data.set(algorithm, 4);
  data.set(value, 4 + algorithm.length + 1);
  data.writeUInt32LE(name.length + 1, 4 + digestSize);
  data.set(name, 4 + digestSize + 4);
  return data;
}
