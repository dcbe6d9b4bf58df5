/** A software TPM's state in this process's memory: for many TPMs that nobody needs after it. */
import type { KeptPart, StateStore } from './state-folder.ts';

export function memoryStore(name: string): StateStore {
  const parts = new Map<KeptPart, Uint8Array>();
  return {
    name,
    key: undefined,
    load: async (part) => parts.get(part),
    store: async (part, state) => void parts.set(part, state),
    remove: async (part) => void parts.delete(part),
    lock: async () => undefined,
    unlock: async () => undefined,
  };
}
