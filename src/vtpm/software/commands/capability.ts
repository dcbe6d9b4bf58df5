/** Capabilities: TPM 2.0 Part 3, 30. */
import {
  type AnyCommand,
  commandByCode,
  handleNumber,
  handleType,
  TPM_ECC_CURVE,
  TPM_HT,
  TPM_PT_PCR,
  TPM_RH,
  type TPMA_CC,
  type TPMS_CAPABILITY_DATA,
} from '../../../tpm/index.ts';
import { ALGORITHMS } from '../algorithms.ts';
import { CURVES } from '../curves.ts';
import { entity } from '../entities.ts';
import type { Handlers } from '../handler.ts';
import { IMPLEMENTED } from '../implemented.ts';
import { HASHES } from '../limits.ts';
import type { Machine } from '../machine.ts';
import {
  hasLocality,
  isDynamic,
  isInGroup,
  isUncounted,
  mayExtend,
  PCRS,
  pcrAttributes,
  readPcr,
} from '../pcr-banks.ts';
import { properties } from '../properties.ts';
import { refuse } from '../refusal.ts';

interface Answer {
  readonly capabilityData: TPMS_CAPABILITY_DATA;
  readonly moreData: boolean;
}

type Name = TPMS_CAPABILITY_DATA['capability'];
type Data<N extends Name> = Extract<TPMS_CAPABILITY_DATA, { capability: N }>['data'];

/** The elements from `first` on, at most `count`, and whether there were more. */
function slice<T>(all: readonly T[], key: (element: T) => number, first: number, count: number) {
  const from = all.filter((element) => key(element) >= first).sort((a, b) => key(a) - key(b));
  return { data: from.slice(0, count), moreData: from.length > count };
}

/** MAX_CAP_DATA over the size of an element: no list is longer than the response's buffer allows. */
const MOST = {
  algs: 169,
  handles: 254,
  commands: 254,
  properties: 127,
  curves: 508,
  policies: 14,
} as const;

// --- handles ----------------------------------------------------------------------------------------------------------

const PERMANENT_HANDLES: readonly number[] = [
  TPM_RH.OWNER,
  TPM_RH.NULL,
  TPM_RH.PW,
  TPM_RH.LOCKOUT,
  TPM_RH.ENDORSEMENT,
  TPM_RH.PLATFORM,
  TPM_RH.PLATFORM_NV,
];

/** 30.2.1: those of one type, by their numbers; the types of sessions stand for loaded and for saved ones here. */
function handlesOf({ permanent, volatile }: Machine, type: number): readonly number[] {
  switch (type) {
    case TPM_HT.PCR:
      return PCRS;
    case TPM_HT.NV_INDEX:
      return [...permanent.nvIndices.keys()];
    case TPM_HT.HMAC_SESSION:
      return [...volatile.sessions.keys()];
    case TPM_HT.POLICY_SESSION:
      return [...volatile.savedSessions.keys()].map((handle) => (TPM_HT.HMAC_SESSION << 24) | handleNumber(handle));
    case TPM_HT.PERMANENT:
      return PERMANENT_HANDLES;
    case TPM_HT.TRANSIENT:
      return [...volatile.transients.keys(), ...volatile.sequences.keys()];
    case TPM_HT.PERSISTENT:
      return [...permanent.persistents.keys()];
    default:
      return refuse('HANDLE', 'property');
  }
}

// --- commands ---------------------------------------------------------------------------------------------------------

function commandAttributes(command: AnyCommand): ReturnType<typeof TPMA_CC.fromNumber> {
  const { code, marks, handles, responseHandles } = command;
  return {
    commandIndex: code,
    nv: marks.includes('nv'),
    extensive: marks.includes('extensive'),
    flushed: marks.includes('flushed'),
    cHandles: handles.length,
    rHandle: responseHandles.fields.length > 0,
  };
}

/** TPMA_CC.V marks a maker's own command, of which there are none. */
const VENDOR = 0x20000000;

function sliceCodes(codes: readonly number[], property: number, count: number) {
  const all = (property & VENDOR) === 0 ? codes : [];
  return slice(all, (code) => code, property & 0xffff, count);
}

// --- PCRs -------------------------------------------------------------------------------------------------------------

function pcrProperties(): Data<'pcr_properties'> {
  const having = (tag: number, test: (pcr: number) => boolean) => ({ tag, pcrs: PCRS.filter(test) });
  const localities = [0, 1, 2, 3, 4].flatMap((locality) => [
    having(TPM_PT_PCR.EXTEND_L0 + 2 * locality, (pcr) => mayExtend(pcr, locality)),
    having(TPM_PT_PCR.RESET_L0 + 2 * locality, (pcr) => hasLocality(pcrAttributes(pcr).resetLocalities, locality)),
  ]);
  return [
    having(TPM_PT_PCR.SAVE, (pcr) => pcrAttributes(pcr).isSaved),
    ...localities,
    having(TPM_PT_PCR.NO_INCREMENT, isUncounted),
    having(TPM_PT_PCR.DRTM_RESET, isDynamic),
    having(TPM_PT_PCR.POLICY, isInGroup),
    having(TPM_PT_PCR.AUTH, isInGroup),
  ];
}

/** As the banks are now; what TPM2_PCR_Allocate chose comes with the next start. */
function allocation(machine: Machine): Data<'pcrs'> {
  return HASHES.map((hash) => ({ hash, pcrs: PCRS.filter((pcr) => readPcr(machine, hash, pcr) !== undefined) }));
}

// --- the rest ---------------------------------------------------------------------------------------------------------

const POLICY_HOLDERS = [TPM_RH.OWNER, TPM_RH.LOCKOUT, TPM_RH.ENDORSEMENT, TPM_RH.PLATFORM] as const;

const PT_FIXED = 0x100;
const PT_GROUP = 0x100;

/** Of one group: a caller asks for each by itself. */
function propertyGroup(machine: Machine, asked: number, count: number) {
  const first = Math.max(asked, PT_FIXED);
  const group = properties(machine).filter(
    ({ property }) => property - (property % PT_GROUP) === first - (first % PT_GROUP),
  );
  return slice(group, ({ property }) => property, first, count);
}

/** TPM_RH_ACT_0 to TPM_RH_ACT_F: authenticated countdown timers, of which there are none. */
const ACT_HANDLES = { first: 0x40000110, last: 0x4000011f } as const;

function answer(machine: Machine, capability: Name, property: number, count: number): Answer {
  const most = (limit: number): number => Math.min(count, limit);
  switch (capability) {
    case 'algs': {
      const { data, moreData } = slice(ALGORITHMS, ({ alg }) => alg, property & 0xffff, most(MOST.algs));
      return { capabilityData: { capability, data }, moreData };
    }
    case 'handles': {
      const all = handlesOf(machine, handleType(property));
      const { data, moreData } = slice(all, handleNumber, handleNumber(property), most(MOST.handles));
      return { capabilityData: { capability, data }, moreData };
    }
    case 'commands': {
      const { data, moreData } = sliceCodes([...IMPLEMENTED], property, most(MOST.commands));
      const commands = data.flatMap((code) => commandByCode(code) ?? []);
      return { capabilityData: { capability, data: commands.map(commandAttributes) }, moreData };
    }
    case 'pp_commands': {
      const { data, moreData } = sliceCodes(machine.permanent.ppCommands, property, most(MOST.commands));
      return { capabilityData: { capability, data }, moreData };
    }
    case 'audit_commands': {
      const { data, moreData } = sliceCodes(machine.permanent.auditCommands, property, most(MOST.commands));
      return { capabilityData: { capability, data }, moreData };
    }
    case 'pcrs': {
      if (property !== 0) refuse('VALUE', 'property');
      // All or, where none is asked for, nothing
      return { capabilityData: { capability, data: count === 0 ? [] : allocation(machine) }, moreData: count === 0 };
    }
    case 'tpm_properties': {
      const { data, moreData } = propertyGroup(machine, property, most(MOST.properties));
      return { capabilityData: { capability, data }, moreData };
    }
    case 'pcr_properties': {
      const { data, moreData } = slice(pcrProperties(), ({ tag }) => tag, property, most(MOST.properties));
      return { capabilityData: { capability, data }, moreData };
    }
    case 'ecc_curves': {
      const curves = Object.keys(CURVES).map((name) => TPM_ECC_CURVE[name as keyof typeof CURVES]);
      const { data, moreData } = slice(curves, (curve) => curve, property & 0xffff, most(MOST.curves));
      return { capabilityData: { capability, data }, moreData };
    }
    case 'auth_policies': {
      if (handleType(property) !== TPM_HT.PERMANENT) refuse('VALUE', 'property');
      const all = POLICY_HOLDERS.map((handle) => ({ handle, policyHash: policyHash(machine, handle) }));
      const { data, moreData } = slice(all, ({ handle }) => handle, property, most(MOST.policies));
      return { capabilityData: { capability, data }, moreData };
    }
    case 'act': {
      if (property < ACT_HANDLES.first || property > ACT_HANDLES.last) refuse('VALUE', 'property');
      return { capabilityData: { capability, data: [] }, moreData: false };
    }
  }
}

function policyHash(machine: Machine, handle: number): Data<'auth_policies'>[number]['policyHash'] {
  const { hashAlg, digest } = entity(machine, handle).policy;
  return hashAlg === 'null' ? { hashAlg } : { hashAlg, digest };
}

export const capability = {
  /** 30.2 */
  TPM2_GetCapability: (machine, request) =>
    answer(machine, request.capability, request.property, request.propertyCount),

  /** 30.3: what is not supported was refused when it was read. */
  TPM2_TestParms: () => ({}),
} satisfies Handlers;
