/** The way to a TPM: a command goes, its response comes. Whoever implements it need not care for order: the client does. */
export interface Transport {
  /** For messages: `swtpm at /run/x`, `/dev/tpmrm0`. */
  readonly description: string;
  /** @throws {TpmError} `tpm.transport` where the TPM cannot be reached or the connection breaks */
  execute(command: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}
