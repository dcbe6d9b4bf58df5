import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makePe } from '../../../test/fixtures/pe-image.ts';
import { ByteWriter } from '../../bytes/index.ts';
import { authenticodeDigest } from '../pe/index.ts';
import { refuseRevoked } from './revocation.ts';

const SBAT =
  'sbat,1,SBAT Version,sbat,1,https://example.org\ngrub,3,Free Software Foundation,grub,2.06,https://example.org\n';
const bytes = makePe([{ name: '.sbat', content: Buffer.from(SBAT) }]);
const image = { name: 'grub.efi', bytes };

/** UEFI 2.10, 32.4.1: EFI_CERT_SHA256_GUID. */
function hashes(...values: readonly Uint8Array[]): Buffer {
  const type = Buffer.from('2616c4c14c509240aca941f936934328', 'hex');
  const writer = new ByteWriter()
    .bytes(type)
    .u32le(28 + values.length * 48)
    .u32le(0)
    .u32le(48);
  for (const value of values) writer.bytes(Buffer.concat([Buffer.alloc(16), value]));
  return Buffer.from(writer.finish());
}

test('an image whose digest is revoked, by the firmware or by shim, does not start', () => {
  const listed = hashes(Buffer.alloc(32, 1), authenticodeDigest(bytes, 'sha256'));
  assert.throws(() => refuseRevoked(image, { dbx: listed }), /grub\.efi: is revoked by dbx/);
  assert.throws(() => refuseRevoked(image, { mokListX: listed }), /grub\.efi: is revoked by MokListX/);
  refuseRevoked(image, { dbx: hashes(Buffer.alloc(32, 1)), mokListX: Buffer.alloc(0) });
  assert.throws(() => refuseRevoked(image, { dbx: listed.subarray(0, 40) }), /dbx: signature list/);
});

test('an image of a generation that SBAT revokes does not start; one that it does not name does', () => {
  const level = (grub: number) => Buffer.from(`sbat,1,2023012900\nshim,2\ngrub,${grub}\n`);
  assert.throws(() => refuseRevoked(image, { sbat: level(4) }), /SBAT revokes its grub generation 3/);
  refuseRevoked(image, { sbat: level(3) });
  refuseRevoked({ name: 'kernel', bytes: makePe([]) }, { sbat: level(9) });
});
