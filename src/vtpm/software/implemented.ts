/** Codes of the commands that have a handler; filled by the table of handlers, read by capabilities and policies. */
export const IMPLEMENTED = new Set<number>();
