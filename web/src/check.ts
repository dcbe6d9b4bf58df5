/** Reads what came over the network: a value of the named shape, or a {@link ShapeError} that says where it was not. */

export class ShapeError extends Error {
  override name = 'ShapeError';
}

/** Takes an unknown value and the place where it stood, for the error. */
export type Shape<T> = (value: unknown, place: string) => T;

function wrong(place: string, wanted: string): never {
  throw new ShapeError(`the server's answer has no ${wanted} at ${place}`);
}

export const text: Shape<string> = (value, place) => (typeof value === 'string' ? value : wrong(place, 'text'));

export const number: Shape<number> = (value, place) =>
  typeof value === 'number' && Number.isFinite(value) ? value : wrong(place, 'number');

export const flag: Shape<boolean> = (value, place) => (typeof value === 'boolean' ? value : wrong(place, 'yes or no'));

export function oneOf<const T extends string>(...choices: readonly T[]): Shape<T> {
  return (value, place) => choices.find((choice) => choice === value) ?? wrong(place, choices.join(' or '));
}

export function list<T>(shape: Shape<T>): Shape<readonly T[]> {
  return (value, place) =>
    Array.isArray(value) ? value.map((item: unknown, i) => shape(item, `${place}[${i}]`)) : wrong(place, 'list');
}

/** Undefined where the value is absent or null. */
export function optional<T>(shape: Shape<T>): Shape<T | undefined> {
  return (value, place) => (value === undefined || value === null ? undefined : shape(value, place));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An object whose named fields have these shapes; other fields are left out. */
export function fields<T extends object>(shapes: { readonly [K in keyof T]-?: Shape<T[K]> }): Shape<T> {
  const names = Object.keys(shapes) as (keyof T & string)[]; // Object.keys forgets the keys' type
  return (value, place) => {
    if (!isObject(value)) return wrong(place, 'object');
    const read: Partial<T> = {};
    for (const name of names) {
      const found = shapes[name](value[name], `${place}.${name}`);
      if (found !== undefined) read[name] = found;
    }
    return read as T; // every field that T asks for has been read above
  };
}

/** An object from any name to one shape. */
export function record<T>(shape: Shape<T>): Shape<Readonly<Record<string, T>>> {
  return (value, place) => {
    if (!isObject(value)) return wrong(place, 'object');
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shape(item, `${place}.${name}`)]));
  };
}
