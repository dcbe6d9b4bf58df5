import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../bytes/index.ts';
import { VERITY_BLOCK, type VerityAlgorithm, VerityHash } from './verity-digest.ts';

/** Of so many bytes of the letter a: `fsverity digest --compact` of fsverity-utils 1.5. */
const KNOWN: readonly (readonly [size: number, algorithm: VerityAlgorithm, digest: string])[] = [
  [0, 'sha256', '3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95'],
  [1, 'sha256', 'bce75948b9e7510293f8f2720412af9697c1479281323f3f220623fb8e94b557'],
  [4096, 'sha256', 'a2a808ddaced77f0b6b3068f47b14b5a1fb3fc43674993ab11b8e7e6f2d089e2'],
  [4097, 'sha256', '18b155c0b6e054f3f7d22488ed15340e74dc161ce2d123e13eb685c3ce565f70'],
  [128 * 4096, 'sha256', '35ce0df2a57eb54aeba7969570bac9dfadfac295ec181a03f13ac7a7da54909e'],
  [128 * 4096 + 1, 'sha256', 'cc4f297494cf9e0b6f159db6d30a62d3fcc219fc9c0cbc2d8792bd264da4d9cb'],
  [128 * 128 * 4096 + 1, 'sha256', '4941c3476d3858778456d8719299de3d84d4541237c259b3ed4bcc96ed0fd828'],
  [
    0,
    'sha512',
    'ccf9e5aea1c2a64efa2f2354a6024b90dffde6bbc017825045dce374474e13d1' +
      '0adb9dadcc6ca8e17a3c075fbd31336e8f266ae6fa93a6c3bed66f9e784e5abf',
  ],
  [
    128 * 4096 + 1,
    'sha512',
    '8b542b5e5e4c55e3159544897327f1fedd412d1bf47acdb1137d93845434d71d' +
      'e857ac19151510618c752d604a152d3e5235d48dbfbc431395139f096555664d',
  ],
];

for (const [size, algorithm, expected] of KNOWN) {
  test(`${size} bytes, ${algorithm}`, () => {
    const hash = new VerityHash(algorithm);
    const block = Buffer.alloc(VERITY_BLOCK, 'a');
    for (let at = 0; at < size; at += VERITY_BLOCK) hash.add(block.subarray(0, Math.min(VERITY_BLOCK, size - at)));
    assert.equal(toHex(hash.digest()), expected);
  });
}
