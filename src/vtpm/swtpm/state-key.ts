/** How swtpm's programs are told a state key. */
import { checkStateKey, type StateKey } from '../state-key.ts';

/** @throws {VtpmError} `vtpm.argument` */
export function keyText(key: StateKey): string {
  return Buffer.from(checkStateKey(key)).toString('hex');
}

export const setupCipher = (key: StateKey): string => `aes-${key.length * 8}-cbc`;
/** swtpm itself calls the smaller one by its family's name. */
export const daemonCipher = (key: StateKey): string => (key.length === 16 ? 'aes-cbc' : 'aes-256-cbc');
