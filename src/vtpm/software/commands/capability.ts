/** Capabilities: TPM 2.0 Part 3, 30. */
import {
  type AnyCommand,
  commandByCode,
  handleType,
  TPM_ALG,
  TPM_ECC_CURVE,
  TPM_HT,
  TPM_PT_PCR,
  TPM_RH,
  type TPMA_CC,
  type TPMS_CAPABILITY_DATA,
} from '../../../tpm/index.ts';
import type { Handlers } from '../handler.ts';
import { IMPLEMENTED } from '../implemented.ts';
import { CURVES, HASHES } from '../limits.ts';
import type { Machine } from '../machine.ts';
import { isUncounted, PCRS, pcrAttributes } from '../pcr-banks.ts';
import { properties } from '../properties.ts';
import { refuse } from '../refusal.ts';

interface Slice {
  readonly capabilityData: TPMS_CAPABILITY_DATA;
  readonly moreData: boolean;
}

/** The elements from `property` on, at most `count`, and whether there were more. */
function slice<T>(all: readonly T[], key: (element: T) => number, property: number, count: number) {
  const from = all.filter((element) => key(element) >= property).sort((a, b) => key(a) - key(b));
  return { data: from.slice(0, count), moreData: from.length > count };
}

type AlgorithmKind = Readonly<
  Partial<Record<'asymmetric' | 'symmetric' | 'hash' | 'object' | 'signing' | 'encrypting' | 'method', true>>
>;
const HASH: AlgorithmKind = { hash: true };
const SIGNING: AlgorithmKind = { asymmetric: true, signing: true };
const KDF: AlgorithmKind = { hash: true, method: true };
const ALGORITHMS: Readonly<Partial<Record<keyof typeof TPM_ALG, AlgorithmKind>>> = {
  rsa: { asymmetric: true, object: true },
  sha1: HASH,
  hmac: { hash: true, signing: true },
  aes: { symmetric: true },
  mgf1: KDF,
  keyedhash: { hash: true, object: true, signing: true, encrypting: true },
  xor: { symmetric: true, hash: true },
  sha256: HASH,
  sha384: HASH,
  sha512: HASH,
  rsassa: SIGNING,
  rsaes: { asymmetric: true, encrypting: true },
  rsapss: SIGNING,
  oaep: { asymmetric: true, encrypting: true },
  ecdsa: SIGNING,
  ecdh: { asymmetric: true, method: true },
  kdf1_sp800_56a: KDF,
  kdf1_sp800_108: KDF,
  ecc: { asymmetric: true, object: true },
  symcipher: { object: true },
  cfb: { symmetric: true, encrypting: true },
};

/** TPMA_CC (Part 2, 8.9). Where the command changes NV memory: chapters 9, 10, 22, 24, 25, 31 but for reads. */
function commandAttributes(command: AnyCommand): ReturnType<typeof TPMA_CC.fromNumber> {
  const { code, name, handles, responseHandles } = command;
  return {
    commandIndex: code,
    nv: /Startup|Shutdown|SelfTest|StirRandom|Clear|Hierarchy|Dictionary|EvictControl|NV_(?!Read$|ReadPublic|Certify)|PCR_(?!Read)|ClockSet|SetPrimaryPolicy/.test(
      name,
    ),
    extensive: name === 'TPM2_Clear' || name === 'TPM2_HierarchyControl',
    flushed: name === 'TPM2_SequenceComplete' || name === 'TPM2_EventSequenceComplete',
    cHandles: handles.length,
    rHandle: responseHandles.fields.length > 0,
  };
}

/** Part 3, 30.2: the handles of one type, from `property` on. */
function handlesOf(machine: Machine, property: number): readonly number[] {
  const { permanent, volatile } = machine;
  const isLoadedSessions = TPM_HT.HMAC_SESSION;
  switch (handleType(property)) {
    case TPM_HT.PCR:
      return PCRS;
    case TPM_HT.NV_INDEX:
      return [...permanent.nvIndices.keys()];
    case isLoadedSessions:
      return [...volatile.sessions.keys()].map((handle) => (handle & 0xffffff) | (isLoadedSessions << 24));
    case TPM_HT.POLICY_SESSION: // TPM_HT_SAVED_SESSION
      return [...volatile.savedSessions.keys()].map((handle) => (handle & 0xffffff) | (TPM_HT.POLICY_SESSION << 24));
    case TPM_HT.PERMANENT:
      return [
        TPM_RH.OWNER,
        TPM_RH.NULL,
        TPM_RH.PW,
        TPM_RH.LOCKOUT,
        TPM_RH.ENDORSEMENT,
        TPM_RH.PLATFORM,
        TPM_RH.PLATFORM_NV,
      ];
    case TPM_HT.TRANSIENT:
      return [...volatile.transients.keys(), ...volatile.sequences.keys()].sort((a, b) => a - b);
    case TPM_HT.PERSISTENT:
      return [...permanent.persistents.keys()];
    default:
      return refuse('HANDLE', 'property');
  }
}

function pcrProperties(): { readonly tag: number; readonly pcrs: readonly number[] }[] {
  const having = (tag: number, test: (pcr: number) => boolean) => ({ tag, pcrs: PCRS.filter(test) });
  const localities = [0, 1, 2, 3, 4].flatMap((locality) => [
    having(TPM_PT_PCR.EXTEND_L0 + 2 * locality, (pcr) => ((pcrAttributes(pcr).extendLocalities >> locality) & 1) === 1),
    having(TPM_PT_PCR.RESET_L0 + 2 * locality, (pcr) => ((pcrAttributes(pcr).resetLocalities >> locality) & 1) === 1),
  ]);
  return [
    having(TPM_PT_PCR.SAVE, (pcr) => pcrAttributes(pcr).isSaved),
    ...localities,
    having(TPM_PT_PCR.NO_INCREMENT, isUncounted),
    having(TPM_PT_PCR.DRTM_RESET, (pcr) => pcr >= 17 && pcr <= 22),
    having(TPM_PT_PCR.POLICY, () => false),
    having(TPM_PT_PCR.AUTH, () => false),
  ];
}

const POLICY_HOLDERS = [TPM_RH.OWNER, TPM_RH.LOCKOUT, TPM_RH.ENDORSEMENT, TPM_RH.PLATFORM] as const;

/** MAX_CAP_DATA over the size of an element: no list is longer than the response's buffer allows. */
const MOST = {
  algs: 169,
  handles: 254,
  commands: 254,
  tpm_properties: 127,
  pcr_properties: 127,
  ecc_curves: 508,
} as const;

function capabilities(
  machine: Machine,
  capability: TPMS_CAPABILITY_DATA['capability'],
  property: number,
  asked: number,
): Slice {
  switch (capability) {
    case 'algs': {
      const all = Object.entries(TPM_ALG).flatMap(([name, alg]) => {
        const kind = ALGORITHMS[name as keyof typeof TPM_ALG];
        return kind === undefined ? [] : [{ alg, algProperties: kind }];
      });
      const { data, moreData } = slice(all, ({ alg }) => alg, property, Math.min(asked, MOST.algs));
      return { capabilityData: { capability, data }, moreData };
    }
    case 'handles': {
      const { data, moreData } = slice(
        handlesOf(machine, property),
        (handle) => handle,
        property,
        Math.min(asked, MOST.handles),
      );
      return { capabilityData: { capability, data }, moreData };
    }
    case 'commands': {
      const all = [...IMPLEMENTED].flatMap((code) => commandByCode(code) ?? []);
      const { data, moreData } = slice(all, ({ code }) => code, property, Math.min(asked, MOST.commands));
      return { capabilityData: { capability, data: data.map(commandAttributes) }, moreData };
    }
    case 'pp_commands':
    case 'audit_commands':
      return { capabilityData: { capability, data: [] }, moreData: false };
    case 'pcrs': {
      if (property !== 0) refuse('VALUE', 'property');
      const allocation = machine.permanent.pcrAllocation;
      const data = HASHES.map((hash) => ({ hash, pcrs: allocation.includes(hash) ? PCRS : [] }));
      return { capabilityData: { capability, data }, moreData: false };
    }
    case 'tpm_properties': {
      const { data, moreData } = slice(
        properties(machine),
        (tagged) => tagged.property,
        property,
        Math.min(asked, MOST.tpm_properties),
      );
      return { capabilityData: { capability, data }, moreData };
    }
    case 'pcr_properties': {
      const { data, moreData } = slice(
        pcrProperties(),
        ({ tag }) => tag,
        property,
        Math.min(asked, MOST.pcr_properties),
      );
      return { capabilityData: { capability, data }, moreData };
    }
    case 'ecc_curves': {
      const all = CURVES.map((curve): number => TPM_ECC_CURVE[curve]);
      const { data, moreData } = slice(all, (curve) => curve, property, Math.min(asked, MOST.ecc_curves));
      return { capabilityData: { capability, data }, moreData };
    }
    case 'auth_policies': {
      if (property !== 0 && handleType(property) !== TPM_HT.PERMANENT) refuse('VALUE', 'property');
      const { permanent, volatile } = machine;
      const policies = [
        permanent.owner.policy,
        permanent.lockoutPolicy,
        permanent.endorsement.policy,
        volatile.platformPolicy,
      ];
      const all = POLICY_HOLDERS.flatMap((handle, i) => {
        const policy = policies[i];
        // A TPMT_HA of the null algorithm has no declared form; only policies that are set are told
        if (policy === undefined || policy.hashAlg === 'null') return [];
        return [{ handle, policyHash: { hashAlg: policy.hashAlg, digest: policy.digest } }];
      });
      const { data, moreData } = slice(all, ({ handle }) => handle, property, Math.min(asked, 14));
      return { capabilityData: { capability, data }, moreData };
    }
    case 'act':
      return refuse('VALUE', 'capability');
  }
}

export const capability = {
  /** 30.2 */
  TPM2_GetCapability: (machine, request) =>
    capabilities(machine, request.capability, request.property, request.propertyCount),
} satisfies Handlers;
