/** What `swtpm socket --print-capabilities` and `--print-states` answer, in swtpm's words and spacing: scripts compare them. */
import { RSA_KEY_BITS } from '../../vtpm/index.ts';
import { VERSION } from '../version.ts';

/** The verbs of man swtpm that hold here. */
const FEATURES = [
  'tpm-2.0',
  'tpm-send-command-header',
  'flags-opt-startup',
  'flags-opt-disable-auto-shutdown',
  'ctrl-opt-terminate',
  'cmdarg-key-fd',
  'cmdarg-pwd-fd',
  'cmdarg-print-states',
  'cmdarg-migration',
  'nvram-backend-dir',
  ...RSA_KEY_BITS.map((bits) => `rsa-keysize-${bits}`),
  'cmdarg-print-info',
  'tpmstate-dir-backend-opt-fsync',
];

const listed = (items: readonly string[]): string => (items.length === 0 ? '[]' : `[ ${items.join(', ')} ]`);

export function capabilitiesJson(): string {
  const features = listed(FEATURES.map((feature) => JSON.stringify(feature)));
  return `{ "type": "swtpm", "features": ${features}, "implementation": "assay", "version": ${JSON.stringify(VERSION)} }`;
}

export function statesJson(states: readonly { readonly name: string; readonly size: number }[]): string {
  const entries = states.map(({ name, size }) => `{"name": ${JSON.stringify(name)}, "size": ${size}}`);
  return `{ "type": "swtpm", "states": ${listed(entries)} }`;
}
