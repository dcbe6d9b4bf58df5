/** Policies for what people commonly want, each with what it leaves out. */
import { builtInRules } from './built-in.ts';
import { PolicyError } from './error.ts';
import { fileSystemsOfMagic } from './file-systems.ts';
import { formatRule } from './format.ts';

export const POLICY_AIMS = ['tcb', 'root-executables', 'container-host', 'immutable-image'] as const;
export type PolicyAim = (typeof POLICY_AIMS)[number];

export interface GenerateOptions {
  /** Labels have to be signatures; left out: hashes do, too. `immutable-image` always wants signatures. */
  readonly signed?: boolean;
  /** `immutable-image`: the file system of the image, with hyphens. */
  readonly fsuuid?: string;
  /** `immutable-image`: dm-verity vouches for the image, whose files need no labels then. */
  readonly dmVerity?: boolean;
  /** `container-host`: the PCR of what runs in containers; left out: the host's. */
  readonly containerPcr?: number;
}

export interface GeneratedPolicy {
  readonly aim: PolicyAim;
  /** What the policy does, in a sentence. */
  readonly does: string;
  /** With comments. Every kernel from 5.10 on takes it, as far as it is configured for it. */
  readonly text: string;
  /** What an attacker or an accident could still do, sentence for sentence. */
  readonly leavesOut: readonly string[];
  /** What has to be so, and known, before it is loaded: a machine that is not ready for it stops. */
  readonly needs: readonly string[];
}

interface Section {
  readonly comment: string;
  readonly rules: readonly string[];
}

type Plan = Omit<GeneratedPolicy, 'aim' | 'text'> & { readonly sections: readonly Section[] };

/** @throws {PolicyError} `policy.invalid-argument` for options that do not go with the aim, and for what is no UUID or PCR */
export function generatePolicy(aim: PolicyAim, options: GenerateOptions = {}): GeneratedPolicy {
  checkValues(options);
  const { sections, ...plan } = PLANS[aim](options);
  const head = [
    `# ${aim}: ${plan.does}`,
    ...plan.leavesOut.map((one) => `# Left out: ${one}`),
    ...plan.needs.map((one) => `# Before loading: ${one}`),
  ];
  const parts = sections.map(({ comment, rules }) => [`# ${comment}`, ...rules]);
  const text = [head, ...parts].map((lines) => `${lines.join('\n')}\n`).join('\n');
  return { aim, text, ...plan };
}

function checkValues({ fsuuid, containerPcr }: GenerateOptions): void {
  if (fsuuid !== undefined && !/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(fsuuid)) {
    throw new PolicyError('policy.invalid-argument', `'${fsuuid}' is no UUID`, 'blkid prints it');
  }
  if (containerPcr !== undefined && !(Number.isInteger(containerPcr) && containerPcr >= 0 && containerPcr <= 23)) {
    throw new PolicyError('policy.invalid-argument', `there is no PCR ${containerPcr}`, 'PCRs go from 0 to 23');
  }
}

const PLANS: Readonly<Record<PolicyAim, (options: GenerateOptions) => Plan>> = {
  tcb,
  'root-executables': rootExecutables,
  'container-host': containerHost,
  'immutable-image': immutableImage,
};

const SCRIPTS =
  'what an interpreter is given to read (`sh script`, `python3 file.py`) is no execution: only its own #! line makes it one';
const MEMORY = 'files in memory (tmpfs, memfd) are not looked at';
const GENERATED = 'code that a program makes in its own memory, and eBPF programs, are no files';
const ONLY_MEASURES = 'nothing is denied: the list and PCR 10 say what happened, to who asks';
const INITRAMFS = 'the root file system is mounted, since files of the initramfs have no labels';

const hex = (magic: number): string => `0x${magic.toString(16)}`;
const TMPFS = 0x01021994;
const RAMFS = 0x858458f6;

/** A comment with the names, as magic numbers say nothing. */
function excepted(action: 'dont_measure' | 'dont_appraise', magics: readonly number[], why: string): Section {
  const names = magics.map((magic) => fileSystemsOfMagic(BigInt(magic))[0]?.name ?? hex(magic));
  return { comment: `${why}: ${names.join(', ')}`, rules: magics.map((magic) => `${action} fsmagic=${hex(magic)}`) };
}

function tcb({ signed }: GenerateOptions): Plan {
  if (signed === true) {
    const advice = 'root-executables, container-host and immutable-image appraise';
    throw new PolicyError('policy.invalid-argument', 'tcb only measures: there is nothing to sign', advice);
  }
  const rules = builtInRules(['tcb']).initial.map(({ rule }) => rule);
  const [exceptions, measured] = [rules.filter(isException), rules.filter((rule) => !isException(rule))];
  return {
    does: 'measures what is run, mapped to run, loaded into the kernel, and read by root; as the built-in policy of that name',
    leavesOut: [
      'files that root does not read: what other users’ interpreters are given, their configuration',
      MEMORY,
      GENERATED,
      ONLY_MEASURES,
    ],
    needs: [],
    sections: [
      {
        comment: 'Made up by the kernel while they are read, or in memory: new content each time',
        rules: exceptions.map(formatRule),
      },
      { comment: 'What runs, and what root reads', rules: measured.map(formatRule) },
    ],
  };
}

const isException = ({ action }: { readonly action: string }): boolean => action.startsWith('dont_');

const labelWords = (signed: boolean | undefined): string => (signed === true ? 'a signature' : 'a hash or a signature');

/** What of root's is run or mapped to run, and modules, whosever they are. */
function appraised(signed: boolean | undefined): string[] {
  const type = signed === true ? ' appraise_type=imasig' : '';
  return [
    `appraise func=BPRM_CHECK mask=MAY_EXEC fowner=0${type}`,
    `appraise func=MMAP_CHECK mask=MAY_EXEC fowner=0${type}`,
    `appraise func=MODULE_CHECK${type}`,
  ];
}

function rootExecutables({ signed }: GenerateOptions): Plan {
  const label = labelWords(signed);
  return {
    does: `lets run of root’s files only what has ${label} as its label, and measures it`,
    leavesOut: [
      'files that other users own run unlabelled, and are not measured',
      SCRIPTS,
      `${MEMORY}: who may write there may run there`,
      GENERATED,
      ...(signed === true
        ? []
        : ['root can label what it changed: a hash tells accidents, and attackers without root']),
    ],
    needs: [`every program, library and module of root has ${label} in security.ima (\`assay label\`)`, INITRAMFS],
    sections: [
      excepted('dont_appraise', [TMPFS, RAMFS], 'Labels do not stay in memory'),
      {
        comment: 'What of root’s is run, or mapped to run',
        rules: [
          ...appraised(signed),
          'measure func=BPRM_CHECK mask=MAY_EXEC fowner=0',
          'measure func=MMAP_CHECK mask=MAY_EXEC fowner=0',
        ],
      },
      {
        comment: 'What goes into the kernel',
        rules: ['measure func=MODULE_CHECK', 'measure func=FIRMWARE_CHECK', 'measure func=KEXEC_KERNEL_CHECK'],
      },
    ],
  };
}

function containerHost({ signed, containerPcr }: GenerateOptions): Plan {
  const pcr = containerPcr === undefined ? '' : ` pcr=${containerPcr}`;
  const label = labelWords(signed);
  return {
    does: 'measures what runs on the host and in its containers, and appraises what root owns on the host alone',
    leavesOut: [
      'what runs in containers is measured and never denied: images carry no labels that this host trusts',
      'the list names a container’s files by their path inside it: two containers’ /bin/sh differ by digest alone',
      'containers whose root is no overlayfs (btrfs, ZFS, a plain folder) count as the host',
      SCRIPTS,
      MEMORY,
      GENERATED,
    ],
    needs: [
      `every program, library and module of root on the host has ${label} in security.ima (\`assay label --one-file-system\`)`,
      INITRAMFS,
    ],
    sections: [
      excepted('dont_measure', [TMPFS], 'In memory'),
      {
        comment: 'What runs in containers: overlayfs, whose own files are opened beneath it unseen',
        rules: [
          `measure func=BPRM_CHECK mask=MAY_EXEC fsname=overlay${pcr}`,
          `measure func=MMAP_CHECK mask=MAY_EXEC fsname=overlay${pcr}`,
          'dont_appraise fsname=overlay',
        ],
      },
      {
        comment: 'What runs on the host, and what goes into its kernel',
        rules: [
          'measure func=BPRM_CHECK mask=MAY_EXEC',
          'measure func=MMAP_CHECK mask=MAY_EXEC',
          'measure func=MODULE_CHECK',
          'measure func=FIRMWARE_CHECK',
          'measure func=KEXEC_KERNEL_CHECK',
          'measure func=POLICY_CHECK',
        ],
      },
      excepted('dont_appraise', [TMPFS, RAMFS], 'Labels do not stay in memory'),
      {
        comment: 'What of root’s is run on the host',
        rules: appraised(signed),
      },
    ],
  };
}

function immutableImage({ fsuuid, dmVerity }: GenerateOptions): Plan {
  if (fsuuid === undefined) {
    const advice = 'name it with --fsuuid: `findmnt -no UUID /`, or `assay ima policy explain` shows it';
    throw new PolicyError(
      'policy.invalid-argument',
      'immutable-image wants the UUID of the image’s file system',
      advice,
    );
  }
  const vouched: Section[] = [
    {
      comment: 'The image: dm-verity refuses each block that is not the image’s',
      rules: [`dont_appraise fsuuid=${fsuuid}`],
    },
  ];
  return {
    does:
      dmVerity === true
        ? 'lets run what is on the image, for which dm-verity vouches, and else only what is signed'
        : 'lets run only what is signed, on the image and elsewhere',
    leavesOut: [
      `${SCRIPTS}, so that an interpreter on the image runs any text`,
      GENERATED,
      ...(dmVerity === true
        ? ['the image is believed by its UUID: whoever mounts another file system of that UUID is believed']
        : []),
      'files are appraised where they run or are loaded, and not where they are read: configuration is not',
    ],
    needs: [
      ...(dmVerity === true
        ? ['dm-verity’s root hash is on the kernel’s command line, and measured or signed with it']
        : ['every program, library, module and firmware of the image has a signature in security.ima']),
      'the key is in the kernel’s .ima keyring',
      'no program has to map executable memory from tmpfs or memfd, as some run-time compilers do: it is denied',
      INITRAMFS,
      'the policy’s own key is kept: further policies have to be signed files, given by their path',
    ],
    sections: [
      ...(dmVerity === true ? vouched : []),
      {
        comment: 'Whatever runs, or goes into the kernel, is signed',
        rules: [
          'appraise func=BPRM_CHECK mask=MAY_EXEC appraise_type=imasig',
          'appraise func=MMAP_CHECK mask=MAY_EXEC appraise_type=imasig',
          'appraise func=MODULE_CHECK appraise_type=imasig|modsig',
          'appraise func=FIRMWARE_CHECK appraise_type=imasig',
          'appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig|modsig',
          'appraise func=KEXEC_INITRAMFS_CHECK appraise_type=imasig',
          'appraise func=POLICY_CHECK appraise_type=imasig',
        ],
      },
      {
        comment: 'And measured',
        rules: [
          'measure func=BPRM_CHECK mask=MAY_EXEC',
          'measure func=MMAP_CHECK mask=MAY_EXEC',
          'measure func=MODULE_CHECK',
          'measure func=FIRMWARE_CHECK',
          'measure func=KEXEC_KERNEL_CHECK',
          'measure func=KEXEC_INITRAMFS_CHECK',
          'measure func=KEXEC_CMDLINE',
          'measure func=POLICY_CHECK',
        ],
      },
    ],
  };
}
