/** What each option of a rule says (kernel: ima_policy.c:ima_parse_rule, policy_tokens), in the kernel's order of tests. */
import { BUILTIN_TEMPLATES } from '../template.ts';
import type { PolicyErrorCode } from './error.ts';
import { IGNORES_APPRAISE_FLAG, isBefore, type KernelVersion, kernelName, SIGV3_OF_FILES, SINCE } from './kernel.ts';
import { nearest } from './nearest.ts';
import { readHexadecimal, readId, readInteger } from './number.ts';
import {
  FUNC_ALIASES,
  FUNCS,
  type IdOperator,
  LABEL_CONDITIONS,
  type LabelCondition,
  MASK_NAMES,
  type PolicyOption,
  type PolicyRule,
} from './rule.ts';

/** A rule while it is read. */
export type RuleDraft = { -readonly [Key in keyof PolicyRule]?: PolicyRule[Key] };

/** Why the kernel refuses a word or a rule. */
export interface Refusal {
  readonly code: Exclude<PolicyErrorCode, 'policy.invalid-argument'>;
  readonly message: string;
  /** File and function. */
  readonly kernel: string;
  readonly advice?: string;
}

type OptionReader = (
  draft: RuleDraft,
  value: string,
  kernel: KernelVersion,
  operator: IdOperator,
) => Refusal | undefined;

const PARSE = 'ima_policy.c:ima_parse_rule';

const refuse = (code: Refusal['code'], message: string, advice?: string, kernel = PARSE): Refusal =>
  advice === undefined ? { code, message, kernel } : { code, message, kernel, advice };

const repeated = (option: string): Refusal => refuse('policy.repeated', `${option} is said twice`, 'say it once');

/** @param since of the kernel that has it first; undefined: every one has it */
export function newerThan(kernel: KernelVersion, since: KernelVersion | undefined, what: string): Refusal | undefined {
  if (since === undefined || !isBefore(kernel, since)) return undefined;
  return refuse(
    'policy.not-in-kernel',
    `${what} is not in kernel ${kernelName(kernel)}`,
    `${kernelName(since)} is the first that has it`,
  );
}

function unknownValue(option: string, value: string, known: readonly string[]): Refusal {
  const close = nearest(value, known);
  const advice = close === undefined ? `it is one of ${known.join(', ')}` : `did you mean ${close}?`;
  return refuse('policy.unknown-value', `${option} has no value '${value}'`, advice);
}

const readFunc: OptionReader = (draft, value, kernel) => {
  if (draft.func !== undefined) return repeated('func=');
  const func = FUNC_ALIASES.get(value) ?? FUNCS.find((one) => one === value);
  if (func === undefined) return unknownValue('func=', value, FUNCS);
  draft.func = func;
  return newerThan(kernel, SINCE.funcs[func], `func=${func}`);
};

const readMask: OptionReader = (draft, value) => {
  if (draft.mask !== undefined) return repeated('mask=');
  const isAmong = value.startsWith('^');
  const name = isAmong ? value.slice(1) : value;
  const access = MASK_NAMES.find((one) => one === name);
  if (access === undefined) return unknownValue('mask=', value, MASK_NAMES);
  draft.mask = { access, isAmong };
  return undefined;
};

/** Zero counts as not said (`if (entry->fsmagic)`). */
const readMagic: OptionReader = (draft, value) => {
  if (draft.fsmagic !== undefined && draft.fsmagic !== 0n) return repeated('fsmagic=');
  const magic = readHexadecimal(value);
  if (magic === undefined) {
    return refuse('policy.number', `fsmagic=${value} is no hexadecimal number of 64 bits`, 'write it as 0xef53');
  }
  draft.fsmagic = magic;
  return undefined;
};

const NULL_UUID = '00000000-0000-0000-0000-000000000000';
/** uuid_is_valid looks at 36 characters; what follows them is not looked at. */
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/i;

const readUuid: OptionReader = (draft, value) => {
  if (draft.fsuuid !== undefined && draft.fsuuid !== NULL_UUID) return repeated('fsuuid=');
  const uuid = UUID.exec(value)?.[0];
  if (uuid === undefined) {
    return refuse(
      'policy.unknown-value',
      `fsuuid=${value} is no UUID`,
      'write it as blkid prints it, 8-4-4-4-12 hexadecimal digits',
      'lib/uuid.c:uuid_is_valid',
    );
  }
  draft.fsuuid = uuid.toLowerCase();
  return undefined;
};

function idOf(option: string, value: string): number | Refusal {
  const id = readId(value);
  if (id !== undefined) return id;
  return refuse('policy.number', `${option}: '${value}' is no decimal id below 4294967295`, 'names are not taken');
}

const readCredential =
  (key: 'user' | 'group', name: string, isEffective: boolean): OptionReader =>
  (draft, value, _kernel, operator) => {
    if (draft[key] !== undefined) {
      const both = key === 'user' ? 'uid and euid' : 'gid and egid';
      return refuse('policy.repeated', `${both} are one condition, which is said twice`, 'say one of them, once');
    }
    const id = idOf(name, value);
    if (typeof id !== 'number') return id;
    draft[key] = { id, operator, isEffective };
    return undefined;
  };

const readOwner =
  (key: 'fowner' | 'fgroup'): OptionReader =>
  (draft, value, _kernel, operator) => {
    if (draft[key] !== undefined) return repeated(key);
    const id = idOf(key, value);
    if (typeof id !== 'number') return id;
    draft[key] = { id, operator };
    return undefined;
  };

/** A label that the security module does not know is not looked at here: which ones there are, only its policy says. */
const readLabelCondition =
  (name: LabelCondition): OptionReader =>
  (draft, value) => {
    if (draft.labels?.[name] !== undefined) return repeated(`${name}=`);
    draft.labels = { ...draft.labels, [name]: value };
    return undefined;
  };

const BEFORE_APPRAISE_TYPE = 'write digest_type=verity before appraise_type=sigv3';

const readDigestType: OptionReader = (draft, value, kernel) => {
  if (draft.appraiseType !== undefined && (draft.appraiseType !== 'sigv3' || isBefore(kernel, SIGV3_OF_FILES))) {
    return refuse('policy.order', 'digest_type= stands behind an appraise_type=', BEFORE_APPRAISE_TYPE);
  }
  if (value !== 'verity') return unknownValue('digest_type=', value, ['verity']);
  draft.digestType = 'verity';
  return undefined;
};

const APPRAISE_TYPES = ['imasig', 'imasig|modsig', 'sigv3'] as const;

const readAppraiseType: OptionReader = (draft, value, kernel) => {
  const type = APPRAISE_TYPES.find((one) => one === value);
  if (type === undefined) return unknownValue('appraise_type=', value, APPRAISE_TYPES);
  const isVerity = draft.digestType === 'verity';
  if (type !== 'sigv3' && isVerity) {
    return refuse('policy.combination', `appraise_type=${type} is not for fs-verity`, 'digest_type=verity wants sigv3');
  }
  if (type === 'sigv3' && !isVerity) {
    const old = newerThan(kernel, SIGV3_OF_FILES, 'appraise_type=sigv3 without a digest_type=verity before it');
    if (old !== undefined) return { ...old, code: 'policy.order', advice: BEFORE_APPRAISE_TYPE };
  }
  // The kernel sets flags, and takes none back.
  const strength = (one: (typeof APPRAISE_TYPES)[number]): number => APPRAISE_TYPES.indexOf(one);
  const before = draft.appraiseType;
  draft.appraiseType = before !== undefined && strength(before) > strength(type) ? before : type;
  return undefined;
};

const readAppraiseFlag: OptionReader = (draft, value, kernel) => {
  draft.appraiseFlag = value;
  if (!isBefore(kernel, IGNORES_APPRAISE_FLAG) || value.includes('blacklist')) return undefined;
  return unknownValue('appraise_flag=', value, ['check_blacklist']);
};

/** crypto/hash_info.c:hash_algo_name, in its order. */
export const HASH_NAMES: readonly string[] = (
  'md4 md5 sha1 rmd160 sha256 sha384 sha512 sha224 rmd128 rmd256 rmd320 wp256 wp384 wp512 ' +
  'tgr128 tgr160 tgr192 sm3 streebog256 streebog512 sha3-256 sha3-384 sha3-512'
).split(' ');
/** Taken out of the kernel in 5.12, before `appraise_algos` came; their names stayed. */
const GONE: ReadonlySet<string> = new Set(['rmd128', 'rmd256', 'rmd320', 'tgr128', 'tgr160', 'tgr192']);
const ALGOS = 'ima_policy.c:ima_parse_appraise_algos';

const readAppraiseAlgos: OptionReader = (draft, value) => {
  if (draft.appraiseAlgos !== undefined) return repeated('appraise_algos=');
  const names = value.split(',');
  const unknown = names.find((name) => !HASH_NAMES.includes(name));
  if (unknown !== undefined) return { ...unknownValue('appraise_algos=', unknown, HASH_NAMES), kernel: ALGOS };
  const gone = names.find((name) => GONE.has(name));
  if (gone !== undefined) {
    const message = `appraise_algos=: no kernel that has this option can compute ${gone}`;
    return refuse('policy.unknown-value', message, 'leave it out', ALGOS);
  }
  draft.appraiseAlgos = HASH_NAMES.filter((name) => names.includes(name));
  return undefined;
};

/** Bits of `measured_pcrs`, an unsigned long. */
const PCR_LIMIT = 64;

const readPcr: OptionReader = (draft, value) => {
  const pcr = readInteger(value);
  if (pcr === undefined || pcr < 0 || pcr >= PCR_LIMIT) {
    return refuse(
      'policy.number',
      `pcr=${value} is no decimal number from 0 to ${PCR_LIMIT - 1}`,
      'write it in decimal, as pcr=11 is',
    );
  }
  draft.pcr = pcr === 0 ? 0 : pcr; // -0 is taken
  return undefined;
};

/** ima_template.c:lookup_template_desc takes a format for its name. */
const TEMPLATE_NAMES: ReadonlyMap<string, string> = new Map(
  [...BUILTIN_TEMPLATES].flatMap(([name, format]) => [
    [name, name],
    [format, name],
  ]),
);

const readTemplate: OptionReader = (draft, value, kernel) => {
  if (draft.action === undefined) {
    return refuse('policy.order', 'template= stands before the action', 'write `measure` before it');
  }
  if (draft.action !== 'measure') {
    return refuse('policy.combination', `template= does not go with ${draft.action}`, 'it goes with measure alone');
  }
  const name = TEMPLATE_NAMES.get(value);
  if (name === undefined) {
    const refusal = unknownValue('template=', value, [...BUILTIN_TEMPLATES.keys()]);
    return { ...refusal, kernel: 'ima_template.c:lookup_template_desc' };
  }
  if (draft.template !== undefined) return repeated('template=');
  draft.template = name;
  return newerThan(kernel, SINCE.templates[name], `template=${name}`);
};

const readList =
  (key: 'keyrings' | 'label'): OptionReader =>
  (draft, value) => {
    if (draft[key] !== undefined) return repeated(`${key}=`);
    const items = value.split('|');
    if (items.includes('')) {
      const list = 'ima_policy.c:ima_alloc_rule_opt_list';
      return refuse('policy.unknown-value', `${key}=${value} has an empty item`, 'write it as one|two', list);
    }
    draft[key] = items;
    return undefined;
  };

const LABEL_READERS = LABEL_CONDITIONS.map((name): [PolicyOption, OptionReader] => [name, readLabelCondition(name)]);

/** Options that take a value. */
export const OPTION_READERS: ReadonlyMap<string, readonly [name: PolicyOption, read: OptionReader]> = new Map(
  (
    [
      ['func', readFunc],
      ['mask', readMask],
      ['fsmagic', readMagic],
      [
        'fsname',
        (draft, value) => {
          draft.fsname = value;
          return undefined;
        },
      ],
      [
        'fs_subtype',
        (draft, value) => {
          if (draft.fsSubtype !== undefined) return repeated('fs_subtype=');
          draft.fsSubtype = value;
          return undefined;
        },
      ],
      ['fsuuid', readUuid],
      ['uid', readCredential('user', 'uid', false)],
      ['euid', readCredential('user', 'euid', true)],
      ['gid', readCredential('group', 'gid', false)],
      ['egid', readCredential('group', 'egid', true)],
      ['fowner', readOwner('fowner')],
      ['fgroup', readOwner('fgroup')],
      ...LABEL_READERS,
      ['digest_type', readDigestType],
      ['appraise_type', readAppraiseType],
      ['appraise_flag', readAppraiseFlag],
      ['appraise_algos', readAppraiseAlgos],
      ['pcr', readPcr],
      ['template', readTemplate],
      ['keyrings', readList('keyrings')],
      ['label', readList('label')],
    ] satisfies [PolicyOption, OptionReader][]
  ).map((entry) => [entry[0], entry]),
);

/** Options that take `<` and `>` beside `=`. */
export const COMPARED: ReadonlySet<PolicyOption> = new Set(['uid', 'euid', 'gid', 'egid', 'fowner', 'fgroup']);
