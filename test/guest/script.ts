/** What a guest does once its disk is mounted: a list of steps, written out as one shell script that stops at the first failure. */

/** One or more lines of shell. Made only by the functions below, so that every word is quoted. */
export interface Step {
  readonly shell: string;
}

/** Where a script leaves the files that come out of the guest (a tmpfs: nothing there is measured). */
export const OUT = '/run/exchange/out';

/** Where the files that were handed to the boot lie. */
export const IN = '/run/exchange/in';

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;
const line = (...words: readonly string[]): string => words.map(quote).join(' ');

/** Runs a program. */
export const run = (...argv: readonly string[]): Step => ({ shell: line(...argv) });

/** Runs a line of shell, for redirections. */
export const shell = (text: string): Step => run('sh', '-c', text);

/** Runs a program and brings its standard output out as file `name`. */
export const runInto = (name: string, ...argv: readonly string[]): Step => ({
  shell: `${line(...argv)} >${quote(`${OUT}/${name}`)}`,
});

/** Runs a program and brings its exit status out as file `name`, whatever it is. */
export const runStatus = (name: string, ...argv: readonly string[]): Step => ({
  shell: `status=0; ${line(...argv)} || status=$?; echo $status >${quote(`${OUT}/${name}`)}`,
});

/** Brings a file out under `name`; also one whose size the kernel gives as 0, as securityfs does. */
export const keep = (path: string, name: string): Step => runInto(name, 'cat', path);

/** Writes a file. */
export const write = (path: string, text: string): Step => ({ shell: `${line('printf', '%s', text)} >${quote(path)}` });

/** Does `steps` while the shell holds `path` open for writing. */
export const whileWriting = (path: string, ...steps: readonly Step[]): Step => ({
  shell: `exec 9>>${quote(path)}\n${scriptOf(steps)}\nexec 9>&-`,
});

/** Does `steps` while the shell holds `path` open for reading. */
export const whileReading = (path: string, ...steps: readonly Step[]): Step => ({
  shell: `exec 8<${quote(path)}\n${scriptOf(steps)}\nexec 8<&-`,
});

/** The steps one after the other. */
export const scriptOf = (steps: readonly Step[]): string => steps.map((step) => step.shell).join('\n');

/** The program that the initramfs starts from the disk. It is the same in every boot, since IMA measures it; the script comes by the exchange disk. */
export const RC = `export PATH=/bin:/usr/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t securityfs sec /sys/kernel/security
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
for exchange in /dev/vdb /dev/nvme0n2; do [ -b $exchange ] && break; done
mkdir /run/exchange
read -r mebibytes <$exchange
dd if=$exchange bs=1M skip=1 count=$mebibytes 2>/dev/null | tar -xf - -C /run/exchange
mkdir -p ${OUT}
sh -e /run/exchange/script
echo $? >/run/exchange/status
tar -cf $exchange -C /run/exchange out status
sync
poweroff -f
`;
