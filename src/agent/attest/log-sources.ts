/** This host's logs as evidence wants them, for a kernel that measures and for an agent that does. */
import { digest } from '../../bytes/index.ts';
import type { BootLogEvidence, Evidence, EvidenceRequest, TpmKind } from '../../evidence/index.ts';
import type { HostMeasurer } from '../measure/host-measurer.ts';
import type { MeasurementLog } from '../measure/measurement-log.ts';
import { readBootLog, readGrowing, readImaList, readUserspaceLog } from '../sources.ts';
import type { LogSources } from './attester.ts';

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
