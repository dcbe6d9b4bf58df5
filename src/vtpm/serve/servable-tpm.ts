/** What can be served: a TPM with the interface that its platform has to it beside commands. */

/** One command at a time, whoever asks: what serves it sees to that. */
export interface ServableTpm {
  execute(command: Uint8Array, locality?: number): Promise<Uint8Array> | Uint8Array;
  /** _TPM_Init. */
  powerOn(): Promise<void> | void;
  /** _TPM_Hash_Start, _TPM_Hash_Data, _TPM_Hash_End. */
  hashStart(): Promise<void> | void;
  hashData(data: Uint8Array): Promise<void> | void;
  hashEnd(): Promise<void> | void;
  readonly isEstablished: boolean;
  /** @returns false at a locality that may not */
  resetEstablished(locality: number): boolean;
}

/** What the platform's interface takes at once, at least and at most (libtpms, TPM2_SetBufferSize). */
export const BUFFER_SIZES = { min: 2808, max: 4096 } as const;

export interface TravellingState {
  readonly blob: Uint8Array;
  /** Under the key of where it is kept. */
  readonly isEncrypted: boolean;
}

/** One that is switched on and off from outside, and whose state can be taken elsewhere. It serialises what it is asked. */
export interface SwitchedTpm extends ServableTpm {
  readonly isRunning: boolean;
  readonly hasStateKey: boolean;
  readonly hasMigrationKey: boolean;
  readonly bufferSize: number;
  /** @returns what it is then */
  setBufferSize(wanted: number): number;
  /** @throws {VtpmError} where there is no state to begin with */
  init(deleteVolatile: boolean): Promise<void>;
  stop(): Promise<void>;
  storeVolatile(): Promise<void>;
  getState(part: 'permanent' | 'volatile', isPlain: boolean): Promise<TravellingState>;
  handedOver(): Promise<void>;
  /** @throws {VtpmError} where it is not a state for this TPM */
  setState(part: 'permanent' | 'volatile', blob: Uint8Array): Promise<void>;
  /** @throws {VtpmError} `vtpm.state-in-use` */
  lockStore(retries: number): Promise<void>;
}

export function isSwitched(tpm: ServableTpm): tpm is SwitchedTpm {
  return 'setState' in tpm;
}

/** One thing at a time: the TPM is one machine, and there may be many connections. */
export function serialised(tpm: ServableTpm): ServableTpm {
  if (isSwitched(tpm)) return tpm;
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(action: () => T | Promise<T>): Promise<T> => {
    const result = last.then(action);
    last = result.catch(() => undefined);
    return result;
  };
  return {
    execute: (command, locality) => inTurn(() => tpm.execute(command, locality)),
    powerOn: () => inTurn(() => tpm.powerOn()),
    hashStart: () => inTurn(() => tpm.hashStart()),
    hashData: (data) => inTurn(() => tpm.hashData(data)),
    hashEnd: () => inTurn(() => tpm.hashEnd()),
    get isEstablished() {
      return tpm.isEstablished;
    },
    resetEstablished: (locality) => tpm.resetEstablished(locality),
  };
}
