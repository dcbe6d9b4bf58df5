/** GRUB's `[ … ]` (grub-core/commands/test.c). */

/** What a test may ask of the disks. */
export interface FileQuestions {
  isFile(path: string): boolean;
  isDirectory(path: string): boolean;
  /** GRUB opens the file for this, and so measures it. */
  isFilled(path: string): boolean;
}

const INTEGERS = {
  '-eq': (a, b) => a === b,
  '-ne': (a, b) => a !== b,
  '-lt': (a, b) => a < b,
  '-le': (a, b) => a <= b,
  '-gt': (a, b) => a > b,
  '-ge': (a, b) => a >= b,
} as const satisfies Record<string, (a: number, b: number) => boolean>;

const isInteger = (word: string): boolean => /^(0|-?[1-9]\d{0,8})$/.test(word);
const isComparison = (word: string | undefined): word is keyof typeof INTEGERS =>
  word !== undefined && Object.hasOwn(INTEGERS, word);

/** Undefined where an operator is not one of those that are followed. */
export function grubTest(words: readonly string[], files: FileQuestions): boolean | undefined {
  const left = [...words];
  const or = (): boolean | undefined => {
    let value = and();
    while (left[0] === '-o' && value !== undefined) {
      left.shift();
      const right = and();
      value = right === undefined ? undefined : value || right;
    }
    return value;
  };
  const and = (): boolean | undefined => {
    let value = primary();
    while (left[0] === '-a' && value !== undefined) {
      left.shift();
      const right = primary();
      value = right === undefined ? undefined : value && right;
    }
    return value;
  };
  const primary = (): boolean | undefined => {
    const first = left.shift();
    if (first === undefined) return undefined;
    if (first === '!') {
      const value = primary();
      return value === undefined ? undefined : !value;
    }
    const [operator, second] = left;
    if (operator === '=' || operator === '==' || operator === '!=') {
      if (second === undefined) return undefined;
      left.splice(0, 2);
      return (first === second) !== (operator === '!=');
    }
    if (isComparison(operator)) {
      if (second === undefined || !isInteger(first) || !isInteger(second)) return undefined;
      left.splice(0, 2);
      return INTEGERS[operator](Number(first), Number(second));
    }
    if (!/^-[a-z]$/.test(first))
      return operator === undefined || operator === '-o' || operator === '-a' ? first !== '' : undefined;
    const operand = left.shift();
    return operand === undefined ? undefined : unary(first, operand, files);
  };
  const value = or();
  return left.length === 0 ? value : undefined;
}

function unary(operator: string, operand: string, files: FileQuestions): boolean | undefined {
  switch (operator) {
    case '-z':
      return operand === '';
    case '-n':
      return operand !== '';
    case '-e':
      return files.isFile(operand) || files.isDirectory(operand);
    case '-f':
      return files.isFile(operand);
    case '-s':
      return files.isFilled(operand);
    case '-d':
      return files.isDirectory(operand);
    default:
      return undefined;
  }
}
