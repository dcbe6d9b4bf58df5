/** A path as a manifest writes it: UTF-8 where its bytes are, else one character a byte (latin1). */
export function referencePath(byteText: string): string {
  const bytes = Buffer.from(byteText, 'latin1');
  const text = bytes.toString('utf8');
  return Buffer.from(text).equals(bytes) ? text : byteText;
}

/** The pattern that matches this path alone. */
export function exactPattern(path: string): string {
  return path.replace(/[*\\]/g, '\\$&');
}
