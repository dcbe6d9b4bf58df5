/** `ima_measurement` and `ima_boot_aggregate`: lists and PCRs against one another. */
import { closeSync, openSync, readSync } from 'node:fs';
import { parseBootLog, replayBootLog } from '../../boot/index.ts';
import { type DigestAlgorithm, isDigestAlgorithm } from '../../bytes/index.ts';
import { type Keyring, parseSignature, verifySignature } from '../../digsig/index.ts';
import { bootAggregate, checkList, ListReader, type MeasurementEntry, type PcrValues } from '../../ima/index.ts';
import { escapeControls } from '../terminal.ts';
import { EvmctlError } from './error.ts';
import { fileDigest } from './files.ts';
import { keyringOf, readBounded, reason } from './keys.ts';
import type { EvmctlOptions } from './options.ts';
import type { Output } from './output.ts';
import { pcrValues } from './pcr-source.ts';

const CHUNK_SIZE = 1 << 20;
const MAX_BOOT_LOG = 16 << 20;

function* chunksOf(path: string): Generator<Buffer> {
  const fd = openSync(path, 'r');
  try {
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK_SIZE);
      const length = readSync(fd, chunk, 0, CHUNK_SIZE, null);
      if (length === 0) return;
      yield chunk.subarray(0, length);
    }
  } finally {
    closeSync(fd);
  }
}

/** @returns 1 where a PCR, a template digest or (with `--verify-sig`) a signature does not hold */
export function imaMeasurement(path: string, options: EvmctlOptions, out: Output): number {
  // Before the list, so that the list reaches at least what the PCRs hold
  const pcrs = onlyBank(pcrValues(options), options.verifyBank);
  const badSignatures = checkSignatures(path, options, out);
  if (pcrs === undefined) {
    throw new EvmctlError('evmctl.file', 'Failed to read any TPM PCRs', { advice: 'give them with --pcrs FILE' });
  }
  const check = checkList(chunksOf(path), pcrs);
  for (const { bank, pcr, real, virtual, reachedAt } of check.pcrs) {
    out.detail(
      `${bank}: PCR ${pcr} ${real} ${reachedAt === undefined ? `is not ${virtual}` : `after entry ${reachedAt}`}`,
    );
  }
  const reached = check.pcrs.filter(({ reachedAt }) => reachedAt !== undefined);
  const isMatched = check.pcrs.length > 0 && reached.length === check.pcrs.length;
  const isPadded = reached.some(({ padded }) => padded);
  if (!isMatched) out.say('Failed to match per TPM bank or SHA1 padded TPM digest(s).');
  else out.say(isPadded ? 'Matched SHA1 padded TPM digest(s).' : 'Matched per TPM bank calculated digest(s).');
  const bad = check.badTemplateDigests.length;
  if (bad > 0) out.say(`Failed to verify template data digest (${bad} of ${check.entries} entries).`);
  const ignored = options.ignoreViolations || check.violations === 0;
  if (!ignored) out.say(`${check.violations} violations in the list; --ignore-violations accepts them.`);
  return isMatched && bad === 0 && ignored && badSignatures === 0 ? 0 : 1;
}

function onlyBank(pcrs: PcrValues | undefined, bank: string | undefined): PcrValues | undefined {
  if (pcrs === undefined || bank === undefined) return pcrs;
  const values = isDigestAlgorithm(bank) ? pcrs[bank] : undefined;
  if (values === undefined) {
    throw new EvmctlError('evmctl.usage', `--verify-bank ${bank}: there are no PCR values of that bank`);
  }
  return { [bank]: values };
}

/** Signatures in the list, over the digest that the list has (`--verify-sig`), else over the file as it is now. */
function checkSignatures(path: string, options: EvmctlOptions, out: Output): number {
  if (options.key === undefined && !options.verifyListSignatures) return 0;
  const keyring = keyringOf(options, out.say);
  let bad = 0;
  const reader = new ListReader();
  const use = (entries: readonly MeasurementEntry[]): void => {
    for (const entry of entries) {
      const fault = signatureFault(entry, keyring, options.verifyListSignatures);
      if (fault === undefined) continue;
      bad++;
      out.say(`${escapeControls(entry.fields?.path ?? '?')}: ${fault}`);
    }
  };
  for (const chunk of chunksOf(path)) use(reader.push(chunk));
  use(reader.end());
  return options.verifyListSignatures ? bad : 0;
}

function signatureFault(entry: MeasurementEntry, keyring: Keyring, byList: boolean): string | undefined {
  const { fields } = entry;
  const signature = fields?.signature;
  if (fields?.digest === undefined || signature === undefined || signature.length === 0) return undefined;
  try {
    const { algorithm, digest } = signedDigest(fields.digest, fields.path ?? '', signature, byList);
    const header = parseSignature(signature.subarray(1), 1);
    const verdict = verifySignature(keyring, header, { algorithm, digest, type: signature[0] ?? 0 });
    return verdict.valid ? undefined : verdict.fault;
  } catch (error) {
    return reason(error);
  }
}

function signedDigest(
  listed: { readonly algorithm: string; readonly value: Uint8Array },
  path: string,
  signature: Uint8Array,
  byList: boolean,
): { readonly algorithm: DigestAlgorithm; readonly digest: Uint8Array } {
  const { algorithm } = parseSignature(signature.subarray(1), 1);
  if (algorithm === undefined) throw new EvmctlError('evmctl.not-verified', 'unknown hash algo in the signature');
  if (!byList) return { algorithm, digest: fileDigest(path, algorithm) };
  if (listed.algorithm === algorithm) return { algorithm, digest: listed.value };
  throw new EvmctlError(
    'evmctl.not-verified',
    `the list has a ${listed.algorithm} digest, the signature is over ${algorithm}`,
  );
}

/** A line `bank:digest` for each bank, of the PCRs given or of what a firmware log replays to. */
export function imaBootAggregate(log: string | undefined, options: EvmctlOptions, out: Output): number {
  const pcrs = log === undefined ? pcrValues(options) : replayBootLog(parseBootLog(readBounded(log, MAX_BOOT_LOG)));
  if (pcrs === undefined) {
    throw new EvmctlError('evmctl.file', 'Failed to read any TPM PCRs', {
      advice: 'give them with --pcrs FILE, or the firmware log as operand',
    });
  }
  for (const [bank, values] of Object.entries(pcrs)) {
    if (!isDigestAlgorithm(bank) || values === undefined) continue;
    out.print(`${bank}:${bootAggregate(bank, values).toString('hex')}`);
  }
  return 0;
}
