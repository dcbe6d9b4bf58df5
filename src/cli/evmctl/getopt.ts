/**
 * Arguments as getopt_long(3) takes them: options before and after operands, `-abc`, `-kFILE`, `--key=FILE`, `--key FILE`,
 * unambiguous beginnings of long names, `--` before what are operands only. Scripts written for evmctl rely on all of it,
 * and on arguments that are optional (`-p`, `-psecret`), which other parsers do not have.
 */
import { EvmctlError } from './error.ts';

export interface OptionSpec<Name extends string> {
  readonly name: Name;
  /** One letter. */
  readonly short?: string;
  readonly argument: 'none' | 'required' | 'optional';
}

export interface GivenOption<Name extends string> {
  readonly name: Name;
  /** Undefined where none was given. */
  readonly value: string | undefined;
}

export interface ParsedArguments<Name extends string> {
  /** In the order given. */
  readonly options: readonly GivenOption<Name>[];
  readonly operands: readonly string[];
}

const USAGE_ADVICE = "see 'evmctl --help'";

/** @throws {EvmctlError} `evmctl.usage` */
export function getopt<Name extends string>(
  args: readonly string[],
  specs: readonly OptionSpec<Name>[],
): ParsedArguments<Name> {
  const options: GivenOption<Name>[] = [];
  const operands: string[] = [];
  const left = [...args];
  for (let arg = left.shift(); arg !== undefined; arg = left.shift()) {
    if (arg === '--') operands.push(...left.splice(0));
    else if (arg.startsWith('--')) options.push(longOption(arg.slice(2), left, specs));
    else if (arg.startsWith('-') && arg !== '-') options.push(...shortOptions(arg.slice(1), left, specs));
    else operands.push(arg);
  }
  return { options, operands };
}

function longOption<Name extends string>(
  text: string,
  left: string[],
  specs: readonly OptionSpec<Name>[],
): GivenOption<Name> {
  const equals = text.indexOf('=');
  const typed = equals < 0 ? text : text.slice(0, equals);
  const spec = findLong(typed, specs);
  if (equals >= 0) {
    if (spec.argument === 'none') throw usage(`option '--${spec.name}' takes no argument`);
    return { name: spec.name, value: text.slice(equals + 1) };
  }
  return { name: spec.name, value: spec.argument === 'required' ? following(`--${spec.name}`, left) : undefined };
}

function findLong<Name extends string>(typed: string, specs: readonly OptionSpec<Name>[]): OptionSpec<Name> {
  const exact = specs.find(({ name }) => name === typed);
  if (exact !== undefined) return exact;
  const [only, ...others] = specs.filter(({ name }) => name.startsWith(typed));
  if (only === undefined) throw usage(`option '--${typed}' is not known`);
  if (others.length > 0) {
    throw usage(`option '--${typed}' is ambiguous: ${[only, ...others].map(({ name }) => `--${name}`).join(', ')}`);
  }
  return only;
}

function shortOptions<Name extends string>(
  letters: string,
  left: string[],
  specs: readonly OptionSpec<Name>[],
): GivenOption<Name>[] {
  const options: GivenOption<Name>[] = [];
  for (let at = 0; at < letters.length; at++) {
    const letter = letters[at] ?? '';
    const spec = specs.find(({ short }) => short === letter);
    if (spec === undefined) throw usage(`option '-${letter}' is not known`);
    const attached = letters.slice(at + 1);
    if (spec.argument === 'none') {
      options.push({ name: spec.name, value: undefined });
      continue;
    }
    const needed = spec.argument === 'required' && attached === '';
    const value = needed ? following(`-${letter}`, left) : attached;
    options.push({ name: spec.name, value: value === '' ? undefined : value });
    break;
  }
  return options;
}

function following(option: string, left: string[]): string {
  const value = left.shift();
  if (value === undefined) throw usage(`option '${option}' needs an argument`);
  return value;
}

function usage(message: string): EvmctlError {
  return new EvmctlError('evmctl.usage', message, { advice: USAGE_ADVICE });
}
