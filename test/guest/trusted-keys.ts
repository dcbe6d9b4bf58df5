/** Keys in a guest's keyring: what its kernel made of them comes out as files. */
import { OUT, type Step } from './script.ts';

export type KernelKeyType = 'trusted' | 'encrypted';

/** Words of the guest's shell: `$session` in them is replaced there. */
const quoted = (text: string): string => {
  if (/["\\`]/.test(text)) throw new Error(`${text} is no word for a guest's shell`);
  return `"${text}"`;
};

const answer = (name: string, command: string): Step => ({
  shell: `if said=$(${command} 2>&1); then said=ok; fi; echo "$said" >${OUT}/${name}`,
});

/** Adds a key to `@u`, and brings out as file `name` the word `ok`, or what keyctl says. */
export const tryKey = (type: KernelKeyType, name: string, data: string): Step =>
  answer(name, `keyctl add ${type} ${name} ${quoted(data)} @u`);

/** Updates a key that is there, and brings out as file `file` the word `ok`, or what keyctl says. */
export const tryUpdate = (type: KernelKeyType, name: string, data: string, file: string): Step =>
  answer(file, `keyctl update %${type}:${name} ${quoted(data)}`);

/** Adds a key to `@u`, updates it, and brings out as file `name` what can be read of it then. */
export const makeKey = (type: KernelKeyType, name: string, data: string, updates: readonly string[] = []): Step => ({
  shell: [
    `key=$(keyctl add ${type} ${name} ${quoted(data)} @u)`,
    ...updates.map((update) => `keyctl update $key ${quoted(update)}`),
    `keyctl pipe $key >${OUT}/${name}`,
  ].join('\n'),
});

/** Brings out as file `file` what can be read of a key. */
export const pipeKey = (type: KernelKeyType, name: string, file: string): Step => ({
  shell: `keyctl pipe %${type}:${name} >${OUT}/${file}`,
});

/** What keyctl says where the kernel answers so. */
export const SAYS = {
  EPERM: 'add_key: Operation not permitted',
  EINVAL: 'add_key: Invalid argument',
  E2BIG: 'add_key: Argument list too long',
} as const;
