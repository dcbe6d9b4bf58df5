/**
 * Commands that a guest's script sends to its TPM as bytes. The kernel unseals under a policy in a session that somebody
 * else made, of which it is told the handle alone: on /dev/tpm0, since sessions of /dev/tpmrm0 end with their file.
 */
import {
  marshalCommand,
  TPM_RH,
  TPM2_FlushContext,
  TPM2_StartAuthSession,
  type TPMI_ALG_HASH,
} from '../../src/tpm/index.ts';
import { IN, type Step, scriptOf } from './script.ts';

/** Stands where the guest puts the session's handle, which it alone knows. */
export const SESSION = 0x03000000;

/** `tpm COMMAND RESPONSE`: one write and one read, and a failure where the response code is not 0 (Part 1, 18.4). */
const TPM = `tpm() {
  exec 3<>/dev/tpm0
  dd if=$1 bs=4096 count=1 2>/dev/null >&3
  dd bs=4096 count=1 2>/dev/null <&3 >$2
  exec 3>&-
  [ "$(od -An -tx1 -j6 -N4 $2 | tr -d ' ')" = 00000000 ]
}`;

/** `in_session COMMAND`: the handle is the first thing behind the command's header of 10 bytes. */
const IN_SESSION = `in_session() {
  head -c 10 $1 >/run/command
  dd if=/run/session bs=1 skip=10 count=4 2>/dev/null >>/run/command
  tail -c +15 $1 >>/run/command
  tpm /run/command /run/response
}`;

/** Among the files handed to a boot whose script has policy sessions. */
export function policySessionFiles(
  authHash: TPMI_ALG_HASH,
  commands: readonly Uint8Array[],
  name: string,
): Record<string, Uint8Array> {
  const start = marshalCommand(TPM2_StartAuthSession, {
    tpmKey: TPM_RH.NULL,
    bind: TPM_RH.NULL,
    nonceCaller: new Uint8Array(16),
    encryptedSalt: new Uint8Array(0),
    sessionType: 'policy',
    symmetric: { algorithm: 'null' },
    authHash,
  });
  const flush = marshalCommand(TPM2_FlushContext, { flushHandle: SESSION });
  const numbered = commands.map((command, index) => [`${name}.policy-${index}`, command] as const);
  return { [`${name}.start`]: start, [`${name}.flush`]: flush, ...Object.fromEntries(numbered) };
}

/**
 * Does `steps` with the handle of a new policy session in the shell's variable `session`, and ends it.
 * @param count of the policy's commands among {@link policySessionFiles}
 */
export function inPolicySession(name: string, count: number, steps: readonly Step[]): Step {
  const policy = Array.from({ length: count }, (_, index) => `in_session ${IN}/${name}.policy-${index}`);
  return {
    shell: [
      TPM,
      IN_SESSION,
      `tpm ${IN}/${name}.start /run/session`,
      `session=0x$(od -An -tx1 -j10 -N4 /run/session | tr -d ' ')`,
      ...policy,
      scriptOf(steps),
      `in_session ${IN}/${name}.flush || true # what was used to the end is gone already`,
    ].join('\n'),
  };
}

/** Sends a command that stands among the boot's files. */
export const sendCommand = (name: string): Step => ({ shell: `${TPM}\ntpm ${IN}/${name} /run/response` });
