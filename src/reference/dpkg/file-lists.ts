import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Up to this many names are searched one by one in all lists at once (1 ms each); more of them line by line (50 ms). */
const FEW = 16;

/** `info/*.list` of all packages: which package ships a name. One text of 7 MB on a machine with 800 packages. */
export class FileLists {
  /** All lists, one after the other, each after a newline. */
  readonly #text: Buffer;
  readonly #packages: readonly string[];
  /** Where in the text each package's list begins, ascending. */
  readonly #starts: readonly number[];

  constructor(infoFolder: string) {
    const files = readdirSync(infoFolder).filter((name) => name.endsWith('.list'));
    const parts: Buffer[] = [Buffer.from('\n')];
    const starts: number[] = [];
    let length = 1;
    for (const file of files) {
      const list = readFileSync(join(infoFolder, file));
      starts.push(length);
      parts.push(list, Buffer.from('\n'));
      length += list.length + 1;
    }
    this.#text = Buffer.concat(parts);
    this.#packages = files.map((name) => name.slice(0, -'.list'.length));
    this.#starts = starts;
  }

  /** Calls back for each package (`name` or `name:architecture`) that ships one of the names (latin1). */
  find(names: ReadonlySet<string>, found: (name: string, packageName: string) => void): void {
    if (names.size > FEW) this.#findByLine(names, found);
    else for (const name of names) this.#findByText(name, found);
  }

  #findByText(name: string, found: (name: string, packageName: string) => void): void {
    const line = Buffer.from(`\n${name}\n`, 'latin1');
    for (let at = this.#text.indexOf(line); at >= 0; at = this.#text.indexOf(line, at + line.length - 1)) {
      found(name, this.#packageAt(at + 1));
    }
  }

  #findByLine(names: ReadonlySet<string>, found: (name: string, packageName: string) => void): void {
    for (const [index, packageName] of this.#packages.entries()) {
      const list = this.#text.toString('latin1', this.#starts[index], this.#starts[index + 1]);
      for (const line of list.split('\n')) if (names.has(line)) found(line, packageName);
    }
  }

  #packageAt(offset: number): string {
    const after = this.#starts.findIndex((start) => start > offset);
    return this.#packages.at(after < 0 ? -1 : after - 1) ?? '';
  }
}
