/** Makes `security.evm` of one file after another; keys are opened once, a device's UUID is asked for once. */
import type { DigestAlgorithm } from '../bytes/index.ts';
import { openSigner, type Signer } from '../digsig/index.ts';
import { EVM_XATTR, hmacLabel, type LiveOptions, readEvmMetadata, signatureLabel } from '../evm/index.ts';
import { fileSystem } from '../sys/index.ts';
import type { NewAttribute } from './set-attributes.ts';
import type { EvmLabelling } from './task.ts';

/** UUIDs of file systems by device: asking costs more than all the rest of a label. */
export class FileSystemUuids {
  readonly #known = new Map<string, Uint8Array | 'none'>();

  of(fd: number, device: string): Uint8Array | 'none' {
    const there = this.#known.get(device);
    if (there !== undefined) return there;
    const asked = fileSystem(fd).uuid ?? 'none';
    this.#known.set(device, asked);
    return asked;
  }
}

export class EvmLabeller {
  readonly #labelling: EvmLabelling;
  readonly #algorithm: DigestAlgorithm;
  readonly #signer: Signer | undefined;
  readonly #uuids = new FileSystemUuids();

  /** @throws what opening the key throws */
  constructor(labelling: EvmLabelling, algorithm: DigestAlgorithm) {
    this.#labelling = labelling;
    this.#algorithm = algorithm;
    this.#signer = labelling.mode === 'hmac' ? undefined : openSigner(labelling.signer);
  }

  /**
   * The label that is to stand beside another that is written with it.
   * @throws {SysError} @throws {EvmError}
   */
  make(fd: number, device: string, beside: Pick<NewAttribute, 'name' | 'value'>): NewAttribute {
    const portable = this.#labelling.mode === 'portable';
    const { extraXattrs = [] } = this.#labelling;
    const options: LiveOptions = portable
      ? { portable, extraXattrs }
      : { uuid: this.#uuids.of(fd, device), extraXattrs };
    const { metadata: now, label: before } = readEvmMetadata(fd, options);
    const metadata = { ...now, xattrs: new Map([...now.xattrs, [beside.name, beside.value]]) };
    const value =
      this.#signer === undefined || this.#labelling.mode === 'hmac'
        ? hmacLabel(this.#key(), metadata, { extraXattrs })
        : signatureLabel(this.#signer, this.#algorithm, metadata, { portable, extraXattrs });
    return { name: EVM_XATTR, value, before };
  }

  #key(): Uint8Array {
    return this.#labelling.mode === 'hmac' ? this.#labelling.key : new Uint8Array();
  }
}
