/** `evmctl`: the commands and options of ima-evm-utils' evmctl 1.6.2, for scripts that call it. */
import { AssayError } from '../../bytes/index.ts';
import { escapeControls } from '../terminal.ts';
import { VERSION } from '../version.ts';
import { EvmctlError } from './error.ts';
import { evmHmac, evmSign, evmVerify } from './evm-commands.ts';
import { imaClear, imaFix, imaHash, imaSetXattr, imaSign, imaVerify } from './ima-commands.ts';
import { convert, importKey } from './key-commands.ts';
import { reason } from './keys.ts';
import { imaBootAggregate, imaMeasurement } from './measurement-commands.ts';
import { type EvmctlCall, type EvmctlOptions, parseCall } from './options.ts';
import { type Output, outputFor } from './output.ts';
import { signHash } from './sign-hash.ts';

interface Command {
  readonly usage: string;
  readonly about: string;
  readonly run: (operands: readonly string[], options: EvmctlOptions, out: Output) => number | Promise<number>;
}

type OnOneFile = (path: string, options: EvmctlOptions, out: Output) => number | Promise<number>;

const onFile =
  (work: OnOneFile): Command['run'] =>
  ([path], options, out) =>
    work(operand(path), options, out);

function operand(path: string | undefined): string {
  if (path === undefined) throw new EvmctlError('evmctl.usage', 'Parameters missing', { advice: "see 'evmctl help'" });
  return path;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  import: { usage: '[--rsa] CERTIFICATE [KEYRING]', about: 'Load a public key into a keyring.', run: importKey },
  convert: {
    usage: '[PUBLIC-KEY]',
    about: 'Write a key in the form of signature format 1: KEY.bin and KEY.keyid.',
    run: (operands, _options, out) => convert(operands, out),
  },
  sign: {
    usage: '[-r] [--imahash | --imasig] [--portable] [--key KEY] [--pass[=PASSWORD]] FILE',
    about: 'Sign metadata: security.evm.',
    run: onFile(evmSign),
  },
  verify: { usage: '[--key CERTIFICATE,…] FILE', about: 'Verify signed metadata.', run: onFile(evmVerify) },
  ima_sign: {
    usage: '[-r] [--sigfile] [--key KEY] [--pass[=PASSWORD]] FILE',
    about: 'Sign content: security.ima.',
    run: onFile(imaSign),
  },
  ima_verify: {
    usage: '[--sigfile] [--key CERTIFICATE,…] FILE…',
    about: 'Verify signed content of each file.',
    run: (paths, options, out) => {
      operand(paths[0]);
      return imaVerify(paths, options, out);
    },
  },
  ima_setxattr: {
    usage: '[--sigfile SIGNATURE] FILE',
    about: 'Set a signature kept in a file.',
    run: (operands, options) => imaSetXattr(operands, options),
  },
  ima_hash: { usage: '[-r] FILE', about: 'Label content with its digest.', run: onFile(imaHash) },
  ima_measurement: {
    usage: '[--ignore-violations] [--verify-sig [--key CERTIFICATE,…]] [--pcrs [BANK,]FILE]… [--verify-bank BANK] LIST',
    about: 'Check a measurement list against PCRs.',
    run: onFile(imaMeasurement),
  },
  ima_boot_aggregate: {
    usage: '[--pcrs BANK,FILE]… [FIRMWARE-LOG]',
    about: 'Print the boot_aggregate of each bank.',
    run: ([log], options, out) => imaBootAggregate(log, options, out),
  },
  ima_fix: {
    usage: '[-r] [-t fxm] PATH',
    about: 'Open files, so that ima_appraise=fix labels them.',
    run: onFile(imaFix),
  },
  ima_clear: { usage: '[-r] [-t fm] PATH', about: 'Remove both labels.', run: onFile(imaClear) },
  sign_hash: {
    usage: '[--veritysig] [--key KEY] [--pass[=PASSWORD]] <DIGESTS',
    about: "Sign digests, a line each, as sha256sum or 'fsverity digest' writes them.",
    run: (_operands, options, out) => signHash(options, out),
  },
  hmac: {
    usage: '[--imahash | --imasig] [--hmackey KEY] FILE',
    about: 'Label metadata with an HMAC, as the kernel with that key would.',
    run: onFile(evmHmac),
  },
};

const OPTIONS = `
options:
  -a, --hashalgo ALG      sha1, sha224, sha256 (default), sha384, sha512, sm3, rmd160, md5
  -k, --key KEY           private key (PEM or DER) to sign, certificates or public keys to verify
      --keyid HEX         key id for the signature; --keyid-from-cert FILE takes it from a certificate
  -p, --pass[=PASSWORD]   of the key; without PASSWORD it is asked for. Better: EVMCTL_KEY_PASSWORD in the environment
  -s, --imasig            sign content too        -d, --imahash   hash content too
  -o, --portable          a signature that travels: no inode number, generation and UUID
  -i                      the old immutable signature
  -f, --sigfile           keep the signature in FILE.sig too, or read it from there
  -n                      print, set nothing
  -r, --recursive         all regular files below; failures are told and make the exit code 1
  -t, --type fxm          m: stay on one file system; x: leave what has both labels
      --rsa               signature format 1 (old kernels)
      --veritysig         sign fs-verity digests (format 3)
      --xattr-user        user.ima and user.evm, for tests
  -u, --uuid[=UUID]       UUID of the file system; without one it is left out
      --inode N --uid N --gid N --mode N --generation N --ima HEX --selinux LABEL --caps[=VALUE]
                          instead of what the file has
      --smack  --m32  --m64
      --hmackey KEY       key of the HMAC (default /etc/keys/evm-key-plain)
  -v  -h, --help  --version

Example:
  evmctl ima_sign -r --key privkey.pem /usr/bin && evmctl ima_verify --key x509.der /usr/bin/ls
`;

function usageText(): string {
  const lines = Object.entries(COMMANDS).map(([name, { usage }]) => `  ${name} ${usage}`);
  return ['usage: evmctl [options] COMMAND [OPTIONS]', 'commands:', ...lines].join('\n') + OPTIONS;
}

/** Exit codes as evmctl's: 0, 1 what does not verify or a wrong option, 125 everything else that failed. */
const FAILED = 125;

async function main(args: readonly string[]): Promise<number> {
  const call = parseCall(args);
  const { options, operands } = call;
  const out = outputFor(options.verbose);
  if (options.wants === 'version') out.print(`evmctl 1.6.2 (assay ${VERSION})`);
  else if (options.wants === 'help' || operands.length === 0) out.print(usageText());
  else return runCommand(call, out);
  return 0;
}

async function runCommand({ options, operands }: EvmctlCall, out: Output): Promise<number> {
  const [typed = '', ...rest] = operands;
  const name = typed.toLowerCase();
  if (name === 'help') return help(rest[0], out);
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command !== undefined) return command.run(rest, options, out);
  out.print(`Invalid command: ${escapeControls(typed)}`);
  return FAILED;
}

function help(name: string | undefined, out: Output): number {
  const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command !== undefined) out.print(`usage: ${name} ${command.usage}\n${command.about}`);
  else out.print(name === undefined ? usageText() : `invalid command: ${escapeControls(name)}`);
  return command === undefined && name !== undefined ? FAILED : 0;
}

function exitCodeOf(error: unknown): number {
  if (!(error instanceof EvmctlError)) return FAILED;
  if (error.code === 'evmctl.not-verified') return 1;
  return error.code === 'evmctl.usage' && error.message !== 'Parameters missing' ? 1 : FAILED;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const advice = error instanceof AssayError && error.advice !== undefined ? `; ${error.advice}` : '';
  process.stderr.write(`${escapeControls(`${reason(error)}${advice}`)}\n`);
  process.exitCode = exitCodeOf(error);
}
