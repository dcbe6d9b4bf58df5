/**
 * Every finding's stable code: the one table from which the verifier's sentences, docs/FINDINGS.md and the dashboard are
 * made. Pure data, so that the dashboard can bundle it.
 */

/** The link of the chain of trust that a finding belongs to. */
export type ChainLink = 'tpm' | 'firmware' | 'kernel' | 'files';

/** What a finding does to the verdict. `info` leaves it alone. */
export type Severity = 'info' | 'warning' | 'unknown' | 'untrusted';

export interface FindingKind {
  readonly link: ChainLink;
  readonly severity: Severity;
  readonly title: string;
  /** What it means and how it comes about. */
  readonly meaning: string;
  /** What a person does about it. */
  readonly advice: string;
}

export const FINDINGS = {
  'quote.malformed': {
    link: 'tpm',
    severity: 'untrusted',
    title: 'The quote cannot be read',
    meaning: 'The signed message or its signature is not a well-formed TPM structure.',
    advice: 'Look at the offset in the message; compare with what the TPM gave.',
  },
  'quote.magic': {
    link: 'tpm',
    severity: 'untrusted',
    title: 'The message was not made by a TPM',
    meaning: 'It does not begin with TPM_GENERATED, which a restricted key signs only for the TPM’s own statements.',
    advice: 'Treat the host as hostile: somebody signs other things with the attestation key.',
  },
  'quote.type': {
    link: 'tpm',
    severity: 'untrusted',
    title: 'The message is another attestation than a quote',
    meaning: 'The TPM attested something else (a key, the time, an NV index) and that was sent as a quote.',
    advice: 'Bring the agent to this version; if it is, treat the host as hostile.',
  },
  'quote.algorithm': {
    link: 'tpm',
    severity: 'untrusted',
    title: 'The quote’s algorithm is not accepted',
    meaning: 'SHA-1 signatures and SHA-1 PCR banks can be forged; other schemes are not known here.',
    advice: 'Enrol with a key that signs with SHA-256 or stronger, over a bank of SHA-256 or stronger.',
  },
  'quote.signature': {
    link: 'tpm',
    severity: 'untrusted',
    title: 'The signature is not that of the enrolled key',
    meaning: 'Message or signature were changed on their way, or another key signed.',
    advice: 'If the TPM or the attestation key was exchanged, enrol the host anew; otherwise somebody forges.',
  },
  'quote.nonce': {
    link: 'tpm',
    severity: 'untrusted',
    title: 'The quote answers another challenge',
    meaning: 'The nonce in the signed message is not the one that was given out: the quote is old, or of another host.',
    advice: 'Challenge again; if it stays so, somebody replays evidence.',
  },
  'quote.selection': {
    link: 'tpm',
    severity: 'untrusted',
    title: 'The quote covers other PCRs than asked',
    meaning: 'A PCR that is left out can hold anything.',
    advice: 'Bring the agent to this version; if it is, the host hides a PCR.',
  },
  'quote.bank': {
    link: 'tpm',
    severity: 'untrusted',
    title: 'The quote covers another PCR bank than asked',
    meaning:
      'The bank was fixed when the host enrolled; another one may be unused by the firmware and so free to fill.',
    advice: 'If the firmware’s set-up was changed, remove the host and enrol it anew.',
  },
  'quote.pcr-digest': {
    link: 'tpm',
    severity: 'untrusted',
    title: 'The PCR values are not those that the TPM signed',
    meaning: 'Their hash differs from the signed PCR digest: at least one value was changed.',
    advice: 'Challenge again; if it stays so, the agent or somebody between changes values.',
  },
  'ak.unbound': {
    link: 'tpm',
    severity: 'unknown',
    title: 'No enrolment binds the attestation key',
    meaning: 'Without the key that was enrolled, nobody knows which TPM signed, or whether any did.',
    advice: 'Give the enrolment record or the key, or enrol the host.',
  },
  'ak.unusable': {
    link: 'tpm',
    severity: 'untrusted',
    title: 'The enrolled attestation key cannot be used',
    meaning: 'Its public area is malformed or of a kind that this version cannot check.',
    advice: 'Enrol the host anew with a key of RSA 2048 or more, or of P-256 or P-384.',
  },
  'clock.backwards': {
    link: 'tpm',
    severity: 'untrusted',
    title: 'The TPM’s clock went backwards',
    meaning:
      'The quote is older than one that was seen before, although it carries the right nonce, or the TPM was rolled back to an earlier state.',
    advice: 'For a virtual TPM look whether a snapshot was restored; for a hardware one treat the host as hostile.',
  },
  'clock.older-boot': {
    link: 'tpm',
    severity: 'untrusted',
    title: 'The quote is of an earlier boot than the last one seen',
    meaning: 'The TPM’s reset counter only ever grows; here it is smaller than before.',
    advice: 'For a virtual TPM look whether a snapshot was restored; if the TPM was cleared, enrol the host anew.',
  },
  'clock.drift': {
    link: 'tpm',
    severity: 'warning',
    title: 'The TPM’s clock does not keep pace',
    meaning:
      'Between two quotes it advanced much less or much more than the time that passed: the quote was made long before it was sent, the machine stood still, or the clock was set.',
    advice:
      'After a suspend or a paused virtual machine this passes by itself; if it comes again and again, look at the host.',
  },
  'tpm.demonstration': {
    link: 'tpm',
    severity: 'warning',
    title: 'A software TPM demonstrates and does not protect',
    meaning:
      'Whoever is root on the machine can read and change the software TPM, so the verdict proves nothing about root.',
    advice: 'Use the machine’s TPM, or a swtpm outside of the machine, for protection.',
  },
  'evidence.measurer': {
    link: 'tpm',
    severity: 'untrusted',
    title: 'Another measurer than the enrolled one speaks',
    meaning: 'The host enrolled with measurement by the kernel or by the agent, and now sends the other’s list.',
    advice: 'Find out why IMA is off or on now; then remove the host and enrol it anew.',
  },
  'evidence.more-needed': {
    link: 'tpm',
    severity: 'info',
    title: 'More evidence is needed',
    meaning:
      'The machine started anew, or the reference changed, after the challenge was made, so that everything must be sent; or the measurement list comes in parts, and a quote proves it with the last.',
    advice: 'Nothing: the next challenge asks for it at once.',
  },
  'boot.no-log': {
    link: 'firmware',
    severity: 'warning',
    title: 'There is no firmware log',
    meaning: 'PCR 0–9 say that something was measured and not what it was.',
    advice: 'Look whether the kernel shows /sys/kernel/security/tpm0/binary_bios_measurements to the agent.',
  },
  'boot.log-malformed': {
    link: 'firmware',
    severity: 'untrusted',
    title: 'The firmware log cannot be read',
    meaning: 'Its bytes are no TCG event log from the named offset on.',
    advice: 'Compare with the file on the host; a log that differs there was changed on its way.',
  },
  'boot.log-mismatch': {
    link: 'firmware',
    severity: 'untrusted',
    title: 'The firmware log does not lead to the quoted PCR',
    meaning:
      'Replaying the log gives another value than the TPM signed: an event was removed, added or changed, or the firmware logs wrongly.',
    advice: 'Compare with the log of an equal machine; if all differ, the firmware has a known fault to report.',
  },
  'boot.bank-missing': {
    link: 'firmware',
    severity: 'untrusted',
    title: 'The firmware log has no digests for the quoted bank',
    meaning: 'The bank’s values cannot be explained by this log.',
    advice: 'Enable the bank in the firmware’s set-up, or enrol with the bank that the firmware logs.',
  },
  'boot.bank-empty': {
    link: 'firmware',
    severity: 'untrusted',
    title: 'The firmware measured nothing into this bank',
    meaning: 'PCR 0–7 are all zero, so whoever runs on the machine could fill them with any boot.',
    advice: 'Enable the bank in the firmware’s set-up, or enrol with one that the firmware extends.',
  },
  'boot.bank-unused': {
    link: 'firmware',
    severity: 'warning',
    title: 'The firmware measured nothing into this bank, and nothing says what TPM this is',
    meaning: 'A software TPM has no firmware behind it; on a real machine, whoever runs could fill such a bank.',
    advice: 'Enrol the host, so that its TPM is known, or quote a bank that the firmware extends.',
  },
  'boot.nothing-measured': {
    link: 'firmware',
    severity: 'info',
    title: 'No firmware measures into this TPM',
    meaning: 'PCR 0–7 of the demonstration’s TPM are zero: nothing is known of how this machine booted.',
    advice: 'Use the machine’s TPM to see its boot.',
  },
  'boot.no-reference': {
    link: 'firmware',
    severity: 'warning',
    title: 'There is nothing to compare the boot with',
    meaning: 'An IMA list is worth as much as the kernel that wrote it, and nothing says which kernel booted.',
    advice: 'Add a boot section to the reference, from a machine that you trust.',
  },
  'boot.pcr-not-quoted': {
    link: 'firmware',
    severity: 'warning',
    title: 'A PCR of the reference is not quoted',
    meaning: 'The reference has values for a PCR that the enrolled selection leaves out.',
    advice: 'Enrol the host with a selection that has this PCR.',
  },
  'boot.pcr-unexpected': {
    link: 'firmware',
    severity: 'untrusted',
    title: 'A boot PCR has a value that is not expected',
    meaning: 'Something of what the PCR measures (see the message) differs from every allowed boot.',
    advice: 'Look at the events of this PCR; after an update that you made, approve the new value.',
  },
  'boot.event-unexpected': {
    link: 'firmware',
    severity: 'untrusted',
    title: 'An event of the boot is not expected',
    meaning: 'The firmware or boot loader measured something that the reference does not list for this PCR.',
    advice: 'Find out what it is; after an update that you made, approve it.',
  },
  'boot.event-missing': {
    link: 'firmware',
    severity: 'untrusted',
    title: 'A required event of the boot is missing',
    meaning: 'The reference requires an event that this boot did not measure.',
    advice: 'Find out what was left out; a boot component may have been removed or replaced.',
  },
  'boot.component-changed': {
    link: 'firmware',
    severity: 'untrusted',
    title: 'A component of the boot is none that is allowed',
    meaning: 'The reference has this component in other variants: a part of the boot was updated or replaced.',
    advice: 'Look what it is; after an update that you made, add a log of this boot to the reference.',
  },
  'boot.component-unknown': {
    link: 'firmware',
    severity: 'untrusted',
    title: 'The boot has a component that the reference does not know',
    meaning: 'Something was measured that no approved boot had: a loader before the loader, a card, a key of an owner.',
    advice: 'Find out what it is; where it belongs there, add a log of this boot to the reference.',
  },
  'boot.component-missing': {
    link: 'firmware',
    severity: 'untrusted',
    title: 'A component of the boot is missing',
    meaning: 'Every approved boot measured this component, and this one did not.',
    advice: 'Find out what was left out; a boot without it is approved by adding its log to the reference.',
  },
  'boot.component-combination': {
    link: 'firmware',
    severity: 'untrusted',
    title: 'Components of the boot do not go together',
    meaning:
      'Each is allowed, and not with the other: a kernel with the initrd of another, a loader without Secure Boot that was approved with it.',
    advice: 'Boot a set that belongs together; where this one does, add a log of this boot to the reference.',
  },
  'boot.component-left-out': {
    link: 'firmware',
    severity: 'info',
    title: 'A component of the boot is not judged',
    meaning: 'The reference says of this component that anything may be measured there, and why.',
    advice: 'Give it variants where it can be judged.',
  },
  'boot.quirk': {
    link: 'firmware',
    severity: 'info',
    title: 'A known fault of this firmware’s log was allowed for',
    meaning:
      'PCR 0 vouches for a firmware whose log is known to break a rule, and this log was judged by the named exception.',
    advice: 'Update the firmware where a newer one logs correctly.',
  },
  'boot.event-unproven': {
    link: 'firmware',
    severity: 'untrusted',
    title: 'Events of a PCR cannot be judged',
    meaning:
      'The reference names events of a PCR whose quoted value the firmware log, and systemd’s after it, do not lead to: anything may have been measured.',
    advice:
      'Send the firmware log and systemd’s; for a PCR that something else extends in the running system, name no events.',
  },
  'boot.payload-mismatch': {
    link: 'firmware',
    severity: 'warning',
    title: 'An event’s payload is not what was measured',
    meaning: 'The event’s type says that its digest is over the payload, and it is not: nothing is concluded from it.',
    advice: 'Some firmware does this; if an equal machine does not, the log was changed.',
  },
  'ima.no-list': {
    link: 'kernel',
    severity: 'warning',
    title: 'Nothing measures the files',
    meaning: 'PCR 10 is zero: neither the kernel nor the agent measures what runs, so nothing is known of it.',
    advice: 'Boot with an IMA policy (ima_policy=tcb or your own), or let the agent measure.',
  },
  'ima.not-quoted': {
    link: 'kernel',
    severity: 'warning',
    title: 'PCR 10 is not quoted',
    meaning: 'The enrolled selection leaves PCR 10 out, so nothing vouches for the measurement list.',
    advice: 'Enrol the host with a selection that has PCR 10.',
  },
  'ima.malformed': {
    link: 'kernel',
    severity: 'untrusted',
    title: 'The measurement list cannot be read',
    meaning: 'Its bytes are no IMA list from the named offset on.',
    advice: 'Compare with the file on the host; a list that differs there was changed on its way.',
  },
  'ima.template-digest': {
    link: 'kernel',
    severity: 'untrusted',
    title: 'An entry of the measurement list was changed',
    meaning: 'The entry’s stored digest is not the hash of its content.',
    advice: 'Compare with the file on the host; the kernel never writes such an entry.',
  },
  'ima.list-behind-quote': {
    link: 'kernel',
    severity: 'untrusted',
    title: 'The measurement list does not explain PCR 10',
    meaning:
      'At no point does replaying the list give the quoted value: its end is withheld, an entry was changed or left out, or something else extended PCR 10 (a kernel started by kexec without its list, a tool).',
    advice: 'If somebody extended PCR 10 by hand, reboot; otherwise somebody hides a measurement.',
  },
  'ima.boot-aggregate': {
    link: 'kernel',
    severity: 'untrusted',
    title: 'boot_aggregate does not match this boot',
    meaning: 'The list’s first entry ties it to PCR 0–9; here it belongs to other values, or is missing.',
    advice: 'Look whether the kernel’s TPM is the quoted one; otherwise the list is of another boot or machine.',
  },
  'ima.boot-aggregate-unchecked': {
    link: 'kernel',
    severity: 'warning',
    title: 'boot_aggregate could not be checked',
    meaning:
      'It was made in another bank than the quoted one, or PCR 0–9 are not all quoted. The kernel takes the bank of its ima_hash, else sha256, else sha1; values of the SHA-1 bank are never trusted.',
    advice:
      'Boot with ima_hash=sha256 (or the quoted bank’s algorithm), with that bank enabled in the firmware’s set-up, and quote PCR 0–10 of it.',
  },
  'ima.kexec': {
    link: 'kernel',
    severity: 'warning',
    title: 'Another kernel was started by kexec',
    meaning: 'A second boot_aggregate stands in the list: since then a kernel runs that the firmware did not measure.',
    advice: 'If you did not start it, reboot through the firmware; if you did, so too, to attest the new kernel.',
  },
  'ima.violation': {
    link: 'kernel',
    severity: 'untrusted',
    title: 'A file was written while it was measured',
    meaning:
      'The kernel saw a file open for writing and measured at once: what was used may differ from what was measured.',
    advice:
      'Find the writer; for logs and the like list the path under `violations` of the reference, or measure less.',
  },
  'ima.violation-expected': {
    link: 'kernel',
    severity: 'warning',
    title: 'A file that may be written was measured',
    meaning: 'The reference expects violations on this path; the quote vouches for the violation, not for the name.',
    advice: 'Let the IMA policy leave this path out, so that no violation can hide among these.',
  },
  'ima.unknown-template': {
    link: 'kernel',
    severity: 'untrusted',
    title: 'An entry cannot be judged',
    meaning:
      'Its template does not begin with a file’s digest and name, or they are malformed, so nobody can say what it is.',
    advice: 'Let the kernel use ima-ng, ima-sig or another built-in template.',
  },
  'ima.other-pcr': {
    link: 'kernel',
    severity: 'warning',
    title: 'Entries go into another PCR than 10',
    meaning:
      'A rule of the IMA policy has pcr=; PCR 10 does not vouch for such entries, and a host can leave them out.',
    advice: 'Remove pcr= from the policy.',
  },
  'ima.buffer': {
    link: 'kernel',
    severity: 'info',
    title: 'The kernel measured something that is no file',
    meaning: 'A command line, a key or critical data was measured itself.',
    advice: 'Look at it where it matters to you.',
  },
  'ima.user-space': {
    link: 'kernel',
    severity: 'warning',
    title: 'The agent measures, not the kernel',
    meaning:
      'A process that root controls can hide from it, and what ran before the agent started was seen only if it still ran. Scripts, kernel modules and what is read are not measured.',
    advice: 'Boot a kernel with IMA to have every execution measured before it happens.',
  },
  'reference.none': {
    link: 'files',
    severity: 'unknown',
    title: 'There is no reference',
    meaning: 'What was measured is proven; nobody has said what it should be.',
    advice: 'Give the host a reference manifest.',
  },
  'reference.expired': {
    link: 'files',
    severity: 'unknown',
    title: 'The reference’s deadline has passed',
    meaning: 'It approves nothing any more; its deny list still holds.',
    advice: 'Activate the next reference.',
  },
  'reference.self': {
    link: 'files',
    severity: 'warning',
    title: 'The reference was made from this host itself',
    meaning: 'It shows what changed since it was made, and not whether the host was sound then.',
    advice: 'Make the reference from packages or from a machine that you trust.',
  },
  'file.unknown': {
    link: 'files',
    severity: 'untrusted',
    title: 'An unknown file ran or was loaded',
    meaning: 'The reference does not know this path.',
    advice: 'Find out where it comes from; if it belongs there, approve it.',
  },
  'file.unreadable': {
    link: 'files',
    severity: 'untrusted',
    title: 'A file in use could not be measured',
    meaning: 'The agent was told that it runs or is mapped, and could not read its content: nobody knows what it is.',
    advice:
      'Look at the file and its file system (a network gone, a FUSE server that does not answer), and end what uses it.',
  },
  'ima.gap': {
    link: 'files',
    severity: 'untrusted',
    title: 'Executions went unseen',
    meaning:
      'The agent measures in user space, and for a while could not keep up: there were too many executions, or a file that gave nothing held it up. What ran and ended in between is in no list.',
    advice:
      'Find out what ran so much (a build, a fork bomb, an attack that hides in the noise), then boot anew; a kernel with IMA leaves no gaps.',
  },
  'file.changed': {
    link: 'files',
    severity: 'untrusted',
    title: 'A file has other content than expected',
    meaning: 'The reference knows the path with other digests.',
    advice:
      'After an update that you made, approve the new content; otherwise reinstall the file’s package and look for the cause.',
  },
  'file.denied': {
    link: 'files',
    severity: 'untrusted',
    title: 'A forbidden file ran or was loaded',
    meaning: 'A rule of the deny list names its path or its content; that beats every approval.',
    advice: 'Follow the rule’s reason: remove or update the file, and restart what runs it.',
  },
  'file.package-modified': {
    link: 'files',
    severity: 'untrusted',
    title: 'A program is not as its package shipped it',
    meaning: 'The package manager’s checksum of this file differs from its content.',
    advice: 'Reinstall the package and look for the cause; if you changed it yourself, approve it.',
  },
  'file.unpackaged': {
    link: 'files',
    severity: 'warning',
    title: 'A program belongs to no package',
    meaning: 'It was there when the reference was made, with exactly this content, and waits for a person’s approval.',
    advice: 'Approve it if you know it; otherwise remove it.',
  },
  'file.no-checksum': {
    link: 'files',
    severity: 'warning',
    title: 'A program’s package has no checksum for it',
    meaning:
      'It was there when the reference was made, with exactly this content; nothing says whether the package shipped it so.',
    advice: 'Compare with the package, then approve it.',
  },
  'file.weak-digest': {
    link: 'files',
    severity: 'warning',
    title: 'A file is known only by a broken digest',
    meaning: 'The list and the reference have a SHA-1 or MD5 digest of it, to which another file can be made.',
    advice: 'Boot with ima_hash=sha256 and a template of ima-ng or later.',
  },
  'process.deleted-file': {
    link: 'files',
    severity: 'warning',
    title: 'A process runs a file that was deleted or replaced',
    meaning: 'After an update the old library stays in use until its processes restart.',
    advice: 'Restart the named processes: the new file is not in use yet.',
  },
} as const satisfies Record<string, FindingKind>;

export type FindingCode = keyof typeof FINDINGS;

/** True where `code` is in the table. */
export function isFindingCode(code: string): code is FindingCode {
  return Object.hasOwn(FINDINGS, code);
}
