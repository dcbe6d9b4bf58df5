/** What a record means, in a sentence, and what to do about it. */
import { readPolicy } from '../policy/index.ts';
import type { AuditCause, AuditWeight } from './cause.ts';
import { auditCause } from './causes.ts';
import type { EvmXattrRecord, FileHashRecord, IntegrityRecord, OperationRecord, PolicyRuleRecord } from './record.ts';

export interface AuditExplanation {
  readonly weight: AuditWeight;
  /** A sentence without its end. */
  readonly meaning: string;
  /** Sentences. */
  readonly repair: string;
  /** False where this version has no word for the operation or its cause. */
  readonly isKnown: boolean;
}

export function explainRecord(record: IntegrityRecord): AuditExplanation {
  switch (record.kind) {
    case 'operation':
      return operation(record);
    case 'file-hash':
      return { ...fileHash(record), isKnown: true };
    case 'policy-rule':
      return { ...policyRule(record), isKnown: true };
    default:
      return { ...evmXattr(record), isKnown: true };
  }
}

function operation({ op, cause, succeeded }: OperationRecord): AuditExplanation {
  const known = auditCause(op, cause);
  if (known !== undefined) {
    const { weight, weightIfDone = weight, meaning, repair } = known;
    return { weight: succeeded ? weightIfDone : weight, meaning, repair, isKnown: true };
  }
  return {
    weight: succeeded ? 'information' : 'failure',
    meaning: `This version does not know the cause '${cause}' of the operation '${op}'`,
    repair: 'Look it up in security/integrity of the kernel’s source.',
    isKnown: false,
  };
}

function fileHash({ algorithm }: FileHashRecord): AuditCause {
  return {
    weight: 'information',
    meaning: `A rule audit of the policy recorded the ${algorithm ?? 'digest'} of a file that was used`,
    repair: 'Nothing to do.',
  };
}

function policyRule({ rule, accepted }: PolicyRuleRecord): AuditCause {
  if (accepted) {
    return {
      weight: 'information',
      meaning: 'A rule of a new policy was read',
      repair: 'It is in force once the policy is completed. If nobody meant it, look who was root then.',
    };
  }
  return {
    weight: 'failure',
    meaning: `A rule of a new policy was refused: ${refusalOf(rule) ?? UNKNOWN_REFUSAL}`,
    repair: 'None of the new rules is in force. Check the file: assay ima policy check FILE.',
  };
}

/** What the newest kernel has against the rule as far as this kernel read it; undefined where it is nothing. */
function refusalOf(rule: string): string | undefined {
  return readPolicy(Buffer.from(`${rule}\n`, 'latin1')).faults[0]?.message;
}

/** This kernel is older, has another configuration, or does not tell all of the rule (`permit_directio`). */
const UNKNOWN_REFUSAL = 'this kernel does not take its last word here, or its words do not go together';

/** evm_secfs.c:evm_write_xattrs */
function evmXattr({ xattr, errno }: EvmXattrRecord): AuditCause {
  if (errno === 0 && xattr !== undefined && Buffer.from(xattr).toString('latin1') === '.') {
    return {
      weight: 'information',
      meaning: 'The list of attributes that EVM protects was closed until the next boot',
      repair: 'Nothing to do.',
    };
  }
  if (errno === 0) {
    return {
      weight: 'information',
      meaning: 'EVM protects one more attribute from now on',
      repair: 'Files that have it need security.evm anew: assay label FILE --evm hmac --evm-xattr NAME.',
    };
  }
  const [reason, repair] = EVM_XATTR_ERRORS[-errno] ?? [`the kernel answers errno ${errno}`, 'Look it up in errno(3).'];
  return { weight: 'failure', meaning: `EVM does not protect one more attribute: ${reason}`, repair };
}

/** By the positive errno. */
const EVM_XATTR_ERRORS: Readonly<Record<number, readonly [reason: string, repair: string]>> = {
  12: ['the kernel has no memory', 'Look what fills the memory.'],
  17: ['it does already', 'Nothing to do.'],
  22: ['its name is not security.NAME', 'EVM protects no others.'],
};
