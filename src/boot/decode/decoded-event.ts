import type { SpecId } from '../log.ts';
import type { DevicePath } from './device-path.ts';
import type { Gpt } from './gpt.ts';
import type { Ipl } from './ipl.ts';
import type { LoadOption } from './load-option.ts';
import type { Signature, SignatureList } from './signature-list.ts';

/**
 * What stands for an event's payload:
 * - `digest`: the event's digest is over it, so it is as true as the PCR. The trap: what some writers put around it is not
 *   hashed: GRUB's prefix (so an `ipl` role), and GUID and name of a boot variable where the digest is over its data alone;
 * - `no-payload-rule`: the digest is over something else, or the event is in no PCR: the payload is a mere remark;
 * - `differs`: the type says that the digest is over the payload, and it is not.
 */
export type Vouched = 'digest' | 'no-payload-rule' | 'differs';

/** An event of a firmware log with its payload taken apart. Integers of 64 bits are `bigint`; bytes are views of the log. */
export interface DecodedEvent {
  readonly index: number;
  readonly pcr: number;
  readonly type: number;
  readonly typeName: string;
  readonly vouched: Vouched;
  readonly payload: DecodedPayload;
}

/** A payload, or a part of one, that is not in the form of its type. */
export interface Undecodable {
  readonly kind: 'undecodable';
  /** Byte offset in the log. */
  readonly offset: number;
  readonly reason: string;
}

export type DecodedPayload =
  | ({ readonly kind: 'spec-id' } & SpecId)
  /** The Spec ID event of a SHA-1 log: `Spec ID Event00` to `02`. */
  | { readonly kind: 'old-spec-id'; readonly signature: string; readonly version: string }
  | { readonly kind: 'startup-locality'; readonly locality: number }
  | ({ readonly kind: 'sp800-155' } & Sp800155)
  | ({ readonly kind: 'hcrtm-component' } & HcrtmComponent)
  | { readonly kind: 'no-action'; readonly signature: string; readonly data: Uint8Array }
  | {
      readonly kind: 'separator';
      /** `boundary`: the firmware hands over; `error`: measuring failed; `text`: as Windows writes `WBCL`. */
      readonly meaning: 'boundary' | 'error' | 'text' | 'unknown';
      readonly data: Uint8Array;
    }
  /** EV_ACTION, EV_EFI_ACTION, EV_OMIT_BOOT_DEVICE_EVENTS: the text; ExitBootServices among them. */
  | { readonly kind: 'action'; readonly action: BootAction; readonly text: string }
  | { readonly kind: 'text'; readonly text: string }
  | ({ readonly kind: 'variable' } & Variable)
  | ({ readonly kind: 'image-load' } & ImageLoad)
  | ({ readonly kind: 'firmware-blob' } & FirmwareBlob)
  | { readonly kind: 'handoff-tables'; readonly description?: string; readonly tables: readonly HandoffTable[] }
  | ({ readonly kind: 'gpt' } & Gpt)
  | ({ readonly kind: 'ipl' } & Ipl)
  | ({ readonly kind: 'tagged' } & Tagged)
  | { readonly kind: 'hcrtm'; readonly text: string }
  | ({ readonly kind: 'spdm' } & SpdmEvent)
  | { readonly kind: 'unknown'; readonly data: Uint8Array }
  | Undecodable;

export type BootAction =
  | 'calling-boot-option'
  | 'returning-from-boot-option'
  | 'exit-boot-services'
  | 'exit-boot-services-failed'
  | 'exit-boot-services-succeeded'
  | 'debugger'
  | 'dma-protection-disabled'
  | 'other';

/** UEFI_VARIABLE_DATA. */
export interface Variable {
  readonly guid: string;
  readonly name: string;
  readonly data: Uint8Array;
  /** Undefined for a variable whose form Assay does not know, and for an empty one. */
  readonly value: VariableValue | undefined;
}

export type VariableValue =
  | { readonly kind: 'boolean'; readonly value: boolean }
  /** BootOrder, DriverOrder and BootNext: names as `Boot0001`. */
  | { readonly kind: 'boot-order'; readonly entries: readonly string[] }
  | ({ readonly kind: 'load-option' } & LoadOption)
  | { readonly kind: 'signature-lists'; readonly lists: readonly SignatureList[] }
  /** What a started image's signature was accepted by: one EFI_SIGNATURE_DATA, or shim's own certificate (no owner). */
  | { readonly kind: 'authority'; readonly signature: Signature }
  /** shim's revocations: `sbat,1,2022052400` and one generation for each component. */
  | { readonly kind: 'sbat-level'; readonly date: string; readonly components: readonly SbatComponent[] }
  | { readonly kind: 'text'; readonly text: string }
  | Undecodable;

export interface SbatComponent {
  readonly name: string;
  readonly generation: string;
}

/** UEFI_IMAGE_LOAD_EVENT. */
export interface ImageLoad {
  readonly address: bigint;
  readonly length: bigint;
  readonly linkTimeAddress: bigint;
  readonly devicePath: DevicePath;
}

/** UEFI_PLATFORM_FIRMWARE_BLOB and its second form, which says what it is. */
export interface FirmwareBlob {
  readonly description?: string;
  readonly address: bigint;
  readonly length: bigint;
}

export interface HandoffTable {
  readonly guid: string;
  /** Where the field has one for the GUID. */
  readonly name: string | undefined;
  readonly address: bigint;
}

/** TCG_PCClientTaggedEvent. */
export interface Tagged {
  readonly id: number;
  /** What the id stands for; undefined for one that is not known here. */
  readonly name: string | undefined;
  readonly text: string | undefined;
  readonly data: Uint8Array;
}

/** TCG_Sp800_155_PlatformId_Event, in three versions: where the maker's reference values are. */
export interface Sp800155 {
  readonly version: 1 | 2 | 3;
  readonly manufacturerId: number;
  readonly referenceManifestGuid: string;
  readonly platform?: { readonly manufacturer: string; readonly model: string; readonly version: string };
  readonly firmware?: { readonly manufacturer: string; readonly manufacturerId: number; readonly version: string };
  readonly rimLocator?: Locator;
  readonly platformCertificateLocator?: Locator;
}

export interface Locator {
  readonly type: number;
  /** A URI or device path's text where it is one. */
  readonly text: string | undefined;
  readonly data: Uint8Array;
}

/** TCG_HCRTMComponentEvent. */
export interface HcrtmComponent {
  readonly description: string;
  readonly format: number;
  readonly measurement: Uint8Array;
}

/** TCG_DEVICE_SECURITY_EVENT_DATA, version 1 or 2: what a device said of itself over SPDM. */
export interface SpdmEvent {
  readonly version: 1 | 2;
  readonly deviceType: number;
  readonly deviceTypeName: string | undefined;
  /** Version 2 alone: 0 is authenticated. */
  readonly authState?: number;
  readonly devicePath: DevicePath;
  /** Version 1: the SPDM measurement block; version 2: the sub-header's data. */
  readonly measurement: Uint8Array;
  /** What the bus says of the device (PCI ids, USB descriptors). */
  readonly context: Uint8Array;
}
