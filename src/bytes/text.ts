/**
 * Text without the NULs at its end. The trap: `/\0+$/` takes the square of a run's length where something stands behind the
 * run, and texts in logs are as long as who wrote them wanted.
 */
export function withoutFinalNuls(text: string): string {
  let end = text.length;
  while (end > 0 && text.charCodeAt(end - 1) === 0) end--;
  return text.slice(0, end);
}
