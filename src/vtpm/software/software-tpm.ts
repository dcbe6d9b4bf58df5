/** The software TPM: one machine in memory, commands in, responses out. */
import { COMMANDS, errorResponse, TPM_RC, type TPMI_ALG_HASH } from '../../tpm/index.ts';
import { PRESET_DICTIONARY_ATTACK } from './dictionary-attack.ts';
import { executeCommand } from './engine.ts';
import { type LaunchSequence, startLaunch } from './launch-sequence.ts';
import { HASHES, INTEGRITY_HASH, SECRET_SIZE, SPLIT_MAX } from './limits.ts';
import { Machine, type MachineOptions, NOMINAL_RATE, openMachine } from './machine.ts';
import { PCRS, startBanks } from './pcr-banks.ts';
import type { Permanent, Volatile } from './state.ts';

export interface ManufactureOptions extends MachineOptions {
  /** Banks that are active; SHA-1, SHA-256, SHA-384 and SHA-512 by default, as libtpms has them. */
  readonly pcrBanks?: readonly TPMI_ALG_HASH[];
}

const NONE = new Uint8Array(0);
const NO_POLICY = { hashAlg: 'null', digest: NONE } as const;

function newPermanent(random: (size: number) => Uint8Array, pcrBanks: readonly TPMI_ALG_HASH[]): Permanent {
  const identity = random(16);
  const secret = () => random(SECRET_SIZE);
  const hierarchy = () => ({ seed: secret(), proof: secret(), auth: NONE, policy: NO_POLICY });
  return {
    identity,
    owner: hierarchy(),
    endorsement: hierarchy(),
    platformSeed: secret(),
    platformProof: secret(),
    lockoutAuth: NONE,
    lockoutPolicy: NO_POLICY,
    isClearDisabled: false,
    dictionaryAttack: { ...PRESET_DICTIONARY_ATTACK, selfHealTimer: 0n, lockoutTimer: 0n },
    pcrAllocation: HASHES.map((hash) => ({ hash, pcrs: pcrBanks.includes(hash) ? PCRS : [] })),
    pcrPolicy: NO_POLICY,
    // Part 1, 31.2.2: the audit of the list is always on it
    auditCommands: [COMMANDS.TPM2_SetCommandCodeAuditStatus.code],
    auditAlg: INTEGRITY_HASH,
    auditCounter: 0n,
    ppCommands: [COMMANDS.TPM2_PP_Commands.code],
    algorithmSet: 0,
    nvIndices: new Map(),
    maxCounter: 0n,
    persistents: new Map(),
    clock: 0n,
    uptime: 0n,
    timeEpoch: 0,
    resetCount: 0,
    totalResetCount: 0n,
    orderly: 'clear',
    savedState: undefined,
  };
}

/** Memory as _TPM_Init leaves it: nothing works but TPM2_Startup. */
function initialVolatile(permanent: Permanent): Volatile {
  return {
    isStarted: false,
    isStartedAtLocality3: false,
    hasHcrtm: false,
    isEstablished: false,
    banks: startBanks(permanent.pcrAllocation),
    pcrUpdateCounter: 0,
    isPcrReconfigured: false,
    pcrAuth: NONE,
    platformAuth: NONE,
    platformPolicy: NO_POLICY,
    isPlatformEnabled: true,
    isStorageEnabled: true,
    isEndorsementEnabled: true,
    isPlatformNvEnabled: true,
    nullSeed: NONE,
    nullProof: NONE,
    restartCount: 0,
    clearCount: 0,
    wasOrderly: true,
    clockSafeFrom: 0n,
    time: 0n,
    clockRate: NOMINAL_RATE,
    isDaUsed: false,
    commandAuditDigest: NONE,
    exclusiveSession: 0,
    commitNonce: NONE,
    commitCounter: 0n,
    commitArray: new Uint8Array(SPLIT_MAX / 8),
    objectContextId: 0n,
    sessionContextId: 0n,
    sessions: new Map(),
    savedSessions: new Map(),
    transients: new Map(),
    sequences: new Map(),
  };
}

export class SoftwareTpm {
  readonly #machine: Machine;
  #launch: LaunchSequence | undefined;

  private constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** A new TPM with its own seeds, powered on: the first command must be TPM2_Startup. */
  static manufacture(options: ManufactureOptions = {}): SoftwareTpm {
    const random = options.random ?? ((size: number) => crypto.getRandomValues(new Uint8Array(size)));
    const permanent = newPermanent(random, options.pcrBanks ?? HASHES);
    return new SoftwareTpm(new Machine(permanent, initialVolatile(permanent), options));
  }

  /**
   * A TPM from what {@link save} gave, just as it was then: started, with its PCRs, sessions and objects.
   * Call {@link powerOn} where the machine it belongs to was off in between.
   *
   * @throws {TpmParseError} for bytes that are no state
   */
  static restore(state: Uint8Array, options: MachineOptions = {}): SoftwareTpm {
    return new SoftwareTpm(openMachine(state, undefined, initialVolatile, options));
  }

  /**
   * A TPM whose two parts were saved apart. Without `volatile` power comes just now.
   *
   * @throws {TpmParseError} for bytes that are no state; {@link TpmError} where the two are of different TPMs
   */
  static restoreParts(
    { permanent, volatile }: { readonly permanent: Uint8Array; readonly volatile?: Uint8Array | undefined },
    options: MachineOptions = {},
  ): SoftwareTpm {
    return new SoftwareTpm(openMachine(permanent, volatile, initialVolatile, options));
  }

  /** Power came (again): _TPM_Init. PCRs, sessions and transient objects are gone, as is what was not shut down. */
  powerOn(): void {
    const { isEstablished } = this.#machine.volatile;
    this.#launch = undefined;
    this.#machine.tick();
    this.#machine.permanent.timeEpoch++;
    this.#machine.volatile = { ...initialVolatile(this.#machine.permanent), isEstablished };
    this.#machine.changed();
  }

  /**
   * _TPM_Hash_Start, _TPM_Hash_Data, _TPM_Hash_End: what the platform measures before the TPM is started (H-CRTM, PCR 0) or
   * for a dynamic launch (PCR 17). Any command in between ends the sequence without effect.
   */
  hashStart(): void {
    this.#launch = startLaunch(this.#machine);
  }

  hashData(data: Uint8Array): void {
    this.#launch?.update(data);
  }

  hashEnd(): void {
    this.#launch?.end();
    this.#launch = undefined;
  }

  /** TPM_ACCESS_x.tpmEstablishment, the other way round: a launch sequence came since the bit was reset. */
  get isEstablished(): boolean {
    return this.#machine.volatile.isEstablished;
  }

  /** As it was before this process or state. */
  markEstablished(): void {
    this.#machine.volatile.isEstablished = true;
  }

  /** @returns false at a locality that may not (PC Client Platform TPM Profile, 6.5.2.5.1: 3 and 4 may) */
  resetEstablished(locality: number): boolean {
    if (locality !== 3 && locality !== 4) return false;
    this.#machine.volatile.isEstablished = false;
    this.#machine.changed();
    return true;
  }

  /** Physical presence, as the platform asserts it: what policies and TPM2_PP_Commands may ask for. */
  get isPhysicallyPresent(): boolean {
    return this.#machine.isPhysicallyPresent;
  }

  set isPhysicallyPresent(isPresent: boolean) {
    this.#machine.isPhysicallyPresent = isPresent;
  }

  /** Bytes that the platform's interface takes, told by TPM2_GetCapability. */
  get bufferSize(): number {
    return this.#machine.bufferSize;
  }

  set bufferSize(size: number) {
    this.#machine.bufferSize = size;
  }

  /** Forgets transient objects and loaded sessions, as a resource manager does for a program that has gone. */
  releaseHandles(): void {
    this.#machine.volatile.transients.clear();
    this.#machine.volatile.sequences.clear();
    this.#machine.volatile.sessions.clear();
  }

  /** True from TPM2_Startup on. */
  get isStarted(): boolean {
    return this.#machine.volatile.isStarted;
  }

  /**
   * One command, one response. Total: any bytes give a response, errors too.
   * @param locality 0–4, or 32–255
   */
  execute(command: Uint8Array, locality = 0): Uint8Array<ArrayBuffer> {
    if (!Number.isInteger(locality) || locality < 0 || locality > 255 || (locality > 4 && locality < 32)) {
      return errorResponse(TPM_RC.LOCALITY);
    }
    this.#launch = undefined;
    return executeCommand(this.#machine, command, locality);
  }

  /** Milliseconds with power since the last TPM2_Clear. */
  get clock(): bigint {
    this.#machine.tick();
    return this.#machine.permanent.clock;
  }

  /** Grows whenever something changed that must outlive this process: PCRs, NV memory, hierarchies, counters. */
  get changes(): number {
    return this.#machine.changes;
  }

  /** Grows whenever something of that changed which survives power. */
  get permanentChanges(): number {
    return this.#machine.permanentChanges;
  }

  /** The whole state, with secrets. At any moment between commands. */
  save(): Uint8Array<ArrayBuffer> {
    return this.#machine.save();
  }

  /**
   * What survives power; `restoreParts` takes it.
   * @param clock what it says of the TPM's clock: one value for all, where two states are to be compared
   */
  savePermanent(clock = this.clock): Uint8Array<ArrayBuffer> {
    return this.#machine.savePermanent(clock);
  }

  /** PCRs, sessions and objects; `restoreParts` takes it beside the permanent part. */
  saveVolatile(): Uint8Array<ArrayBuffer> {
    return this.#machine.saveVolatile();
  }
}
