/** What the maker of EK certificates asks of a TPM, as libtpms' TPMLIB_GetInfo tells it (swtpm's CMD_GET_INFO). */
import { FIRMWARE_VERSION, MANUFACTURER, RSA_KEY_BITS } from './limits.ts';
import { SPECIFICATION_REVISION } from './properties.ts';

const FLAG = { specification: 1n, attributes: 2n, features: 4n } as const;

const hex = (value: number): string => value.toString(16).toUpperCase().padStart(8, '0');

/** @param flags sum of SWTPM_INFO_*; those that are not known here add nothing */
export function tpmInfo(flags: bigint): string {
  const has = (flag: bigint): boolean => (flags & flag) !== 0n;
  return JSON.stringify({
    ...(has(FLAG.specification) && {
      TPMSpecification: { family: '2.0', level: 0, revision: SPECIFICATION_REVISION },
    }),
    ...(has(FLAG.attributes) && {
      TPMAttributes: {
        manufacturer: `id:${hex(Buffer.from(MANUFACTURER, 'latin1').readUInt32BE())}`,
        version: `id:${hex(FIRMWARE_VERSION.high)}`,
        model: 'assay',
      },
    }),
    ...(has(FLAG.features) && { TPMFeatures: { RSAKeySizes: RSA_KEY_BITS, CamelliaKeySizes: [] } }),
  });
}
