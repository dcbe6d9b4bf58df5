/** Text that is the JSON of a `T`: only {@link toJson} makes it, so what is read back is what was written. */
export type JsonText<T> = string & { readonly jsonOf: T };

export function toJson<T>(value: T): JsonText<T> {
  return JSON.stringify(value) as JsonText<T>;
}

export function fromJson<T>(text: JsonText<T>): T {
  const value: T = JSON.parse(text);
  return value;
}
