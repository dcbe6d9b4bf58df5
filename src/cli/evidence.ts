/** `assay evidence collect`: evidence of this machine in a file, for a verifier that asks for it by hand. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { collectEvidence, pcrBanks, startHostAgent } from '../agent/index.ts';
import { toHex } from '../bytes/index.ts';
import { EvidenceCodec, type PcrBank } from '../evidence/index.ts';
import { TpmError, writePublicFile } from '../tpm/index.ts';
import { prepareDataFolder } from './data-folder.ts';
import { parseNonce } from './parse-nonce.ts';
import { parsePcrs } from './parse-pcrs.ts';
import { printJson, printLine } from './terminal.ts';
import { UsageError } from './usage-error.ts';
import { addTpmOptions, demonstrationField, type TpmOptions, withTpm } from './with-tpm.ts';
import { writeOutput } from './write-output.ts';

const HELP = `
Give the nonce that the verifier chose; one that you chose yourself proves nothing to anybody else.

Example:
  assay evidence collect -o evidence.cbor --ak-public ak.pub --nonce 00112233445566778899aabbccddeeff
  assay verify evidence.cbor --ak ak.pub --reference reference.json --nonce 00112233445566778899aabbccddeeff`;

/** 16 and 23 are for debugging and applications, 17–22 for a DRTM: quoted where they are asked for. */
const DEFAULT_PCRS = Array.from({ length: 16 }, (_, index) => index);

interface Options extends TpmOptions {
  readonly output: string;
  readonly nonce?: Uint8Array;
  readonly bank: string;
  readonly pcrs: readonly number[];
  readonly akPublic?: string;
  readonly ekCertificate?: string;
  readonly extend?: boolean;
  readonly json?: boolean;
}

export function register(program: Command): void {
  const collect = program
    .command('evidence')
    .description('Evidence of this machine, in a file')
    .addHelpText('after', '\nExample:\n  assay evidence collect -o evidence.cbor')
    .command('collect')
    .description('Quote the PCRs, read the logs, write both to a file')
    .requiredOption('-o, --output <file>', 'where the evidence goes (CBOR); - is standard output')
    .option('--nonce <hex>', 'what the verifier asked for, up to 64 bytes; left out: random, and printed', parseNonce)
    .option('--bank <name>', 'the PCR bank to quote', 'sha256')
    .addOption(new Option('--pcrs <list>', 'the PCRs to quote').argParser(parsePcrs).default(DEFAULT_PCRS, '0–15'))
    .option('--ak-public <file>', 'write the attestation key there (TPM2B_PUBLIC, as tpm2-tools do)')
    .option('--ek-certificate <file>', "write the endorsement key's certificate there (DER)")
    .option('--extend', 'extend PCR 10 of a hardware TPM, where the kernel has no IMA')
    .option('--json', 'print {"evidence","bytes","nonce","measurer","bank","pcrs"}');
  addTpmOptions(collect).addHelpText('after', HELP).action(run);
}

async function run(options: Options): Promise<void> {
  const toStdout = options.output === '-';
  if (toStdout) refuseStdout(options);
  const nonce = options.nonce ?? randomBytes(32);
  const dataFolder = join(await prepareDataFolder(options.data), 'agent');
  await withTpm(options, async (opened) => {
    const { tpm, kind } = opened;
    const bank = activeBank(options.bank, await pcrBanks(tpm));
    const agent = await startHostAgent({ tpm, tpmKind: kind, dataFolder, extend: options.extend === true });
    try {
      const request = {
        selection: { bank, pcrs: options.pcrs },
        imaOffset: 0,
        bootLog: 'bytes',
        userspaceLogOffset: 0,
      } as const;
      const evidence = EvidenceCodec.encode(await collectEvidence(agent.attester, nonce, request));
      if (toStdout) process.stdout.write(evidence);
      else writeOutput(options.output, evidence);
      const { ak, ekCertificates } = agent.identity;
      if (options.akPublic !== undefined) writeOutput(options.akPublic, writePublicFile(ak.area));
      if (options.ekCertificate !== undefined) writeOutput(options.ekCertificate, certificateOf(ekCertificates));
      report(options, {
        bytes: evidence.length,
        nonce: toHex(nonce),
        measurer: agent.measurer,
        bank,
        ...demonstrationField(opened),
      });
    } finally {
      await agent.stop();
    }
  });
}

/** Evidence is binary: on a terminal it does harm, and with --json standard output is taken. */
function refuseStdout({ json }: Options): void {
  const advice = 'name a file with -o';
  if (json === true) throw new UsageError('standard output takes the evidence or --json, not both', advice);
  if (process.stdout.isTTY) throw new UsageError('evidence is binary, and standard output is a terminal', advice);
}

function activeBank(name: string, banks: readonly PcrBank[]): PcrBank {
  const bank = banks.find((one) => one === name);
  if (bank !== undefined) return bank;
  throw new TpmError('tpm.argument', `the TPM has no PCR bank '${name}'`, {
    advice: `choose among ${banks.join(', ')}`,
  });
}

function certificateOf([certificate]: readonly Uint8Array[]): Uint8Array {
  if (certificate !== undefined) return certificate;
  throw new TpmError('tpm.unsupported', 'the TPM holds no endorsement certificate', { exitCode: 3 });
}

interface Made {
  readonly bytes: number;
  readonly nonce: string;
  readonly measurer: string;
  readonly bank: PcrBank;
  readonly demonstration?: true;
}

function report(options: Options, made: Made): void {
  if (options.json === true) printJson({ evidence: options.output, ...made, pcrs: options.pcrs });
  else {
    const line = `${made.bytes} bytes of evidence for nonce ${made.nonce}`;
    if (options.output === '-') process.stderr.write(`assay: ${line}\n`);
    else printLine(`${options.output}: ${line}`);
  }
}
