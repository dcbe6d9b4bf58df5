/** `sign_hash`: signs digests that other tools computed, a line each, and writes each line again with its signature. */
import { createInterface } from 'node:readline';
import { type DigestAlgorithm, digestInfo, isDigestAlgorithm } from '../../bytes/index.ts';
import { signFileId } from '../../digsig/index.ts';
import { EvmctlError } from './error.ts';
import { signatureOver } from './ima-commands.ts';
import { reason, signerOf } from './keys.ts';
import type { EvmctlOptions } from './options.ts';
import type { Output } from './output.ts';

const SIGNATURE = 3;
const VERITY_SIGNATURE = 6;

/** @returns 1 where a line could not be signed; the others are */
export async function signHash(options: EvmctlOptions, out: Output): Promise<number> {
  const signer = await signerOf(options);
  let lines = 0;
  let failed = 0;
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    lines++;
    try {
      const { algorithm, value } = options.isVeritySignature ? verityLine(line) : sumLine(line, options.algorithm);
      const signature = options.isVeritySignature
        ? [Buffer.of(VERITY_SIGNATURE), signFileId(signer, VERITY_SIGNATURE, algorithm, value)]
        : [Buffer.of(SIGNATURE), signatureOver(signer, algorithm, value, options)];
      out.print(`${line} ${Buffer.concat(signature).toString('hex')}`);
    } catch (error) {
      failed++;
      out.say(`line ${lines}: ${reason(error)}`);
    }
  }
  if (lines === 0) throw new EvmctlError('evmctl.usage', 'Parameters missing: no digest on stdin');
  return failed > 0 ? 1 : 0;
}

interface Line {
  readonly algorithm: DigestAlgorithm;
  readonly value: Buffer;
}

/** `HEX  PATH`, as sha256sum writes it. */
function sumLine(line: string, algorithm: DigestAlgorithm): Line {
  const [hex = ''] = line.split(/[ \t]/, 1);
  return { algorithm, value: digestOf(hex, algorithm) };
}

/** `ALGORITHM:HEX PATH`, as `fsverity digest` writes it. */
function verityLine(line: string): Line {
  const [, name = '', hex = ''] = /^([a-z0-9-]+):([0-9a-fA-F]*) /.exec(line) ?? [];
  if (!isDigestAlgorithm(name)) {
    throw new EvmctlError('evmctl.file', 'Missing or invalid fsverity hash algorithm', {
      advice: "give lines as 'fsverity digest FILE' writes them",
    });
  }
  return { algorithm: name, value: digestOf(hex, name) };
}

function digestOf(hex: string, algorithm: DigestAlgorithm): Buffer {
  const { size } = digestInfo(algorithm);
  if (/^[0-9a-fA-F]+$/.test(hex) && hex.length === 2 * size) return Buffer.from(hex, 'hex');
  throw new EvmctlError('evmctl.file', `no ${algorithm} digest of ${size} bytes in hex`, {
    advice: 'name the algorithm with --hashalgo',
  });
}
