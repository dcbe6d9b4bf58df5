/** Options in swtpm's form: `type=unixio,path=/run/tpm,terminate` (swtpm's src/utils/options.c). */
import { UsageError } from '../usage-error.ts';

const ADVICE = 'see `assay vtpm socket --help`';

export class CommaOptions {
  readonly #option: string;
  readonly #values: ReadonlyMap<string, string>;

  /**
   * @param option `--ctrl`, for errors
   * @param known the names that may come
   * @throws {UsageError} for a name that is not known or comes twice
   */
  constructor(option: string, text: string, known: readonly string[]) {
    const values = new Map<string, string>();
    for (const part of text.split(',').filter((one) => one !== '')) {
      const at = part.indexOf('=');
      const name = at < 0 ? part : part.slice(0, at);
      if (!known.includes(name)) throw new UsageError(`${option} takes no '${name}', only ${known.join(', ')}`, ADVICE);
      if (values.has(name)) throw new UsageError(`${option} has '${name}' twice`, ADVICE);
      values.set(name, at < 0 ? '' : part.slice(at + 1));
    }
    this.#option = option;
    this.#values = values;
  }

  text(name: string): string | undefined {
    const value = this.#values.get(name);
    if (value === '') return this.refuse(`${name} needs a value`);
    return value;
  }

  /** Named alone or with `=true`. */
  flag(name: string): boolean {
    const value = this.#values.get(name);
    if (value === undefined || value === 'false') return false;
    return value === '' || value === 'true' ? true : this.refuse(`${name} is true or false`);
  }

  /** @param octal as permissions are given */
  number(name: string, max: number, octal = false): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const number = octal ? Number.parseInt(value, 8) : Number(value);
    const isNumber = octal ? /^[0-7]+$/.test(value) : /^\d+$/.test(value);
    return isNumber && number <= max
      ? number
      : this.refuse(`${name} is ${octal ? 'an octal' : 'a'} number up to ${octal ? max.toString(8) : max}`);
  }

  fd(name: string): number | undefined {
    return this.number(name, 65_535);
  }

  oneOf<const T extends string>(name: string, choices: readonly T[]): T | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    return choices.find((choice) => choice === value) ?? this.refuse(`${name} is one of ${choices.join(', ')}`);
  }

  refuse(why: string): never {
    throw new UsageError(`${this.#option}: ${why}`, ADVICE);
  }
}
