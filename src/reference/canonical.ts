/** One text for equal values: keys in a fixed order, lists sorted. */

export function sortedKeys<T extends object>(value: T): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function byText(items: readonly object[]): unknown[] {
  return items
    .map((item) => JSON.stringify(item))
    .sort()
    .map((item): unknown => JSON.parse(item));
}
