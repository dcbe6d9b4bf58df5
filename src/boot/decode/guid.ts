import { type ByteReader, toHex } from '../../bytes/index.ts';

/** EFI_GUID in registry format, lower case: the first three fields are little endian (UEFI 2.10, appendix A). */
export function readGuid(reader: ByteReader, what: string): string {
  const hex = toHex(reader.bytes(GUID_SIZE, what));
  const first = hex.slice(6, 8) + hex.slice(4, 6) + hex.slice(2, 4) + hex.slice(0, 2);
  const second = hex.slice(10, 12) + hex.slice(8, 10);
  const third = hex.slice(14, 16) + hex.slice(12, 14);
  return `${first}-${second}-${third}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const GUID_SIZE = 16;

export const EFI_GLOBAL_VARIABLE = '8be4df61-93ca-11d2-aa0d-00e098032b8c';
export const EFI_IMAGE_SECURITY_DATABASE = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f';
/** shim's own variables. */
export const SHIM_LOCK = '605dab50-e046-4300-abb6-3dd810dd8b23';

/** Owners, variable name spaces, tables and partition types that logs name (UEFI 2.10; PI 1.8; UAPI's partition types). */
const NAMES: Readonly<Record<string, string>> = {
  [EFI_GLOBAL_VARIABLE]: 'EFI global variables',
  [EFI_IMAGE_SECURITY_DATABASE]: 'EFI image security database',
  [SHIM_LOCK]: 'shim',
  '77fa9abd-0359-4d32-bd60-28f4e78f784b': 'Microsoft',
  '4a67b082-0a4c-41cf-b6c7-440b29bb8c4f': 'systemd',
  'eb9d2d30-2d88-11d3-9a16-0090273fc14d': 'ACPI 1.0 table',
  '8868e871-e4f1-11d3-bc22-0080c73c8881': 'ACPI table',
  'eb9d2d31-2d88-11d3-9a16-0090273fc14d': 'SMBIOS table',
  'f2fd1544-9794-4a2c-992e-e5bbcf20e394': 'SMBIOS 3 table',
  'c12a7328-f81f-11d2-ba4b-00a0c93ec93b': 'EFI system partition',
  '0fc63daf-8483-4772-8e79-3d69d8477de4': 'Linux data',
  '0657fd6d-a4ab-43c4-84e5-0933c84b4f4f': 'Linux swap',
  '4f68bce3-e8cd-4db1-96e7-fbcaf984b709': 'Linux root (x86-64)',
  'bc13c2ff-59e6-4262-a352-b275fd6f7172': 'Linux extended boot',
  'e6d6d379-f507-44c2-a23c-238f2a3df928': 'Linux LVM',
  '21686148-6449-6e6f-744e-656564454649': 'BIOS boot partition',
  'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7': 'Microsoft basic data',
  'e3c9e316-0b5c-4db8-817d-f92df00215ae': 'Microsoft reserved',
};

/** What a GUID is called in the field; undefined for one that has no name here. */
export function guidName(guid: string): string | undefined {
  return Object.hasOwn(NAMES, guid) ? NAMES[guid] : undefined;
}
