/** Numbers that the deciding thread counts and others read, in memory that all threads share. */

const NAMES = [
  /** Events that were answered. */
  'executions',
  'opens',
  /** Answered from what was known. */
  'known',
  /** Files that had to be read. */
  'examined',
  'denied',
  /** Denied because their file could not be opened, by the kernel itself. */
  'unopenable',
  /** Answered because the time was up. */
  'timedOut',
  /** News of written files were lost: everything known was forgotten. */
  'overflows',
  /** Labels that followed the content. */
  'relabelled',
  'ignored',
  /** Executions of which it is not known that nobody wrote before the kernel kept writers out. */
  'unprotected',
  /** Executions that were ended: allowed, still not begun after seconds, and somebody waited to write to their file. */
  'ended',
  /** Reports that were dropped because too many waited. */
  'droppedReports',
  /** Accesses that wait now. */
  'waiting',
  /** Goes up with each round of the deciding thread. */
  'beats',
] as const;

export type CounterName = (typeof NAMES)[number];
export type Counts = Readonly<Record<CounterName, number>>;

const INDEX = Object.fromEntries(NAMES.map((name, index) => [name, index])) as Readonly<Record<CounterName, number>>; // of the same names

/** One thread writes: numbers of 64 bits are read whole on every 64-bit machine. */
export class Counters {
  readonly shared: Float64Array;

  constructor(shared: Float64Array = new Float64Array(new SharedArrayBuffer(8 * NAMES.length))) {
    this.shared = shared;
  }

  add(name: CounterName, count = 1): void {
    const index = INDEX[name];
    this.shared[index] = (this.shared[index] ?? 0) + count;
  }

  set(name: CounterName, value: number): void {
    this.shared[INDEX[name]] = value;
  }

  get(name: CounterName): number {
    return this.shared[INDEX[name]] ?? 0;
  }

  all(): Counts {
    return Object.fromEntries(NAMES.map((name) => [name, this.get(name)])) as Counts; // of the same names
  }
}
