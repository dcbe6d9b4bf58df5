/** The file of `tpm2_makecredential -o` and `tpm2_activatecredential -i` (tpm2-tools 5.4, tools/tpm2_makecredential.c). */
import { ByteReader, ByteWriter } from '../../bytes/index.ts';
import type { Credential } from '../credential.ts';
import { TPM2B_ENCRYPTED_SECRET, TPM2B_ID_OBJECT } from '../structures.ts';

const MAGIC = 0xbadcc0de;
const VERSION = 1;

/** @throws {ParseError} with the offset */
export function readCredentialFile(bytes: Uint8Array): Credential {
  const reader = new ByteReader(bytes);
  if (reader.u32be('magic') !== MAGIC) reader.fail('parse.invalid', 'magic', 'this is no credential of tpm2-tools', 0);
  const version = reader.u32be('version');
  if (version !== VERSION) reader.fail('parse.unknown-value', 'version', `${version}, only ${VERSION} is known`, 4);
  const credentialBlob = TPM2B_ID_OBJECT.read(reader);
  const secret = TPM2B_ENCRYPTED_SECRET.read(reader);
  reader.end('credential file');
  return { credentialBlob, secret };
}

export function writeCredentialFile({ credentialBlob, secret }: Credential): Uint8Array {
  const writer = new ByteWriter();
  writer.u32be(MAGIC).u32be(VERSION);
  TPM2B_ID_OBJECT.write(writer, credentialBlob);
  TPM2B_ENCRYPTED_SECRET.write(writer, secret);
  return writer.finish();
}
