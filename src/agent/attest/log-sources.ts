/** This host's logs as evidence wants them, for a kernel that measures and for an agent that does. */
import { digest } from '../../bytes/index.ts';
import type {
  BootLogEvidence,
  Evidence,
  EvidenceRequest,
  GrowingLogEvidence,
  Measurer,
  Observation,
  TpmKind,
} from '../../evidence/index.ts';
import type { HostMeasurer } from '../measure/host-measurer.ts';
import type { MeasurementLog } from '../measure/measurement-log.ts';
import { readBootLog, readGrowing, readImaList, readUserspaceLog } from '../sources.ts';

/** Where this host's logs come from: the kernel's files, or the agent's own list. */
export interface LogSources {
  readonly measurer: Measurer;
  /** Runs `work` while this agent extends nothing; a kernel goes on when it wants to. */
  whileStill<T>(work: () => Promise<T>): Promise<T>;
  bootLog(want: EvidenceRequest['bootLog']): Promise<BootLogEvidence>;
  /** From this byte on; from the start where the list is shorter (the kernel began a new one). */
  imaLog(offset: number): Promise<GrowingLogEvidence>;
  userspaceLog(offset: number): Promise<GrowingLogEvidence>;
  /** What was seen beside the list: words for findings, never vouched for. */
  observations(): readonly Observation[];
}

/** Kernel IMA: list and PCR 10 are the kernel's. */
export function kernelSources(tpmKind: TpmKind): LogSources {
  return {
    ...firmwareSources(tpmKind),
    measurer: 'kernel',
    whileStill: (work) => work(),
    imaLog: async (offset) => readImaList(offset),
    observations: () => [],
  };
}

/** What the agent itself measured; without a measurer (a TPM that it may not extend) there is no list, and it says why. */
export function userSpaceSources(
  tpmKind: TpmKind,
  measuring: { readonly log: MeasurementLog; readonly host: Pick<HostMeasurer, 'observations'> } | undefined,
): LogSources {
  return {
    ...firmwareSources(tpmKind),
    measurer: 'user-space',
    whileStill: (work) => (measuring === undefined ? work() : measuring.log.whileStill(work)),
    async imaLog(offset) {
      if (measuring === undefined) return { kind: 'absent', reason: NOT_EXTENDED };
      const { log } = measuring;
      // A new boot began a new list, shorter than what the verifier holds: it is sent from its start.
      const from = offset <= log.bytes ? offset : 0;
      return readGrowing(log.path, from, () => 'the measurement list is gone', log.bytes);
    },
    observations: () => measuring?.host.observations ?? [],
  };
}

const NOT_EXTENDED = 'the kernel has no IMA, and the agent may not extend this TPM; allow it with --extend';

/** The firmware measured into the machine's own TPM: its logs say nothing about any other. */
function firmwareSources(tpmKind: TpmKind): Pick<LogSources, 'bootLog' | 'userspaceLog'> {
  if (tpmKind !== 'device') {
    const reason = 'the firmware did not measure into this TPM, which is not the machine’s own';
    return {
      bootLog: async () => ({ kind: 'absent', reason }),
      userspaceLog: async () => ({ kind: 'absent', reason }),
    };
  }
  let kept: BootLogEvidence | undefined;
  return {
    async bootLog(want: EvidenceRequest['bootLog']): Promise<Evidence['bootLog']> {
      kept ??= readBootLog();
      return want === 'digest' && kept.kind === 'bytes'
        ? { kind: 'digest', sha256: digest('sha256', kept.bytes) }
        : kept;
    },
    userspaceLog: async (offset) => readUserspaceLog(offset),
  };
}
