import type { EventDigest } from '../log.ts';

/**
 * What a record was measured into: a PCR, a TPM's NV index, or a confidential-computing register (RTMR + 1; Google's
 * extension of the format, type 0x6c).
 */
export interface CelIndex {
  readonly kind: 'pcr' | 'nv-index' | 'cc-register';
  readonly value: number;
}

/**
 * A record's content. Like a boot event's payload it is **not vouched for** by anything but a digest that is over it.
 * - `pcclient_std`: an event of a TCG event log
 * - `ima_template`: an entry of an IMA list
 * - `systemd`: what systemd measured in user space, in its own JSON
 * - `tlv`: of a type that is carried and not looked into, from the TLV form; `json` the same from the JSON form
 */
export type CelContent =
  | { readonly kind: 'pcclient_std'; readonly eventType: number; readonly eventData: Uint8Array }
  | { readonly kind: 'ima_template'; readonly templateName: string; readonly templateData: Uint8Array }
  | { readonly kind: 'systemd'; readonly json: unknown }
  | { readonly kind: 'tlv'; readonly type: number; readonly value: Uint8Array }
  | { readonly kind: 'json'; readonly contentType: string; readonly json: unknown };

/** One record of a TCG Canonical Event Log (CEL 1.0, "Information Model"). */
export interface CelRecord {
  readonly recnum: number;
  readonly index: CelIndex;
  readonly digests: readonly EventDigest[];
  readonly content: CelContent;
}

export type CelForm = 'json' | 'tlv';

/** Names of the content types, and their numbers in TLV. */
export const CEL_CONTENT_TYPE = { pcclient_std: 5, ima_template: 7, systemd: 9 } as const;
