/** The part of GRUB's script language that can be followed for certain: commands, variables, if, functions, menu entries. */
import { notPredictable } from './measurement.ts';

export type WordPart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'variable'; readonly name: string; readonly quoted: boolean };

/** A word in its parts; a block is its source text with the braces, as `menuentry` gets it. */
export interface Word {
  readonly parts: readonly WordPart[];
  readonly quoted: boolean;
  readonly block?: Block;
}

export interface Block {
  /** As it is written. */
  readonly source: string;
  /** As GRUB has it: without lines that begin with a comment, which it leaves out when it reads the file. */
  readonly text: string;
  readonly line: number;
}

export type Statement =
  | { readonly kind: 'command'; readonly line: number; readonly words: readonly Word[] }
  | { readonly kind: 'if'; readonly line: number; readonly arms: readonly Arm[] }
  | { readonly kind: 'function'; readonly line: number; readonly name: string; readonly body: readonly Statement[] };

/** `else` has no condition. */
export interface Arm {
  readonly condition: readonly Statement[] | undefined;
  readonly body: readonly Statement[];
}

const MAX_DEPTH = 32;
const REFUSED_WORDS = new Set(['while', 'until', 'for', 'select', 'do', 'done', 'time']);

/**
 * @param name file, for what people are told
 * @param firstLine the script's first line within that file
 * @throws {BootError} `boot.not-predictable` with file and line, for anything that is not followed
 */
export function parseGrubScript(source: string, name: string, firstLine = 1): Statement[] {
  return new GrubParser(source, name, firstLine).all();
}

class GrubParser {
  readonly #source: string;
  readonly #name: string;
  #at = 0;
  #line: number;
  #depth = 0;

  constructor(source: string, name: string, firstLine: number) {
    this.#source = source;
    this.#name = name;
    this.#line = firstLine;
  }

  all(): Statement[] {
    const statements = this.#statements([]);
    if (this.#at < this.#source.length) this.#refuse('a brace or keyword that closes nothing');
    return statements;
  }

  #refuse(what: string): never {
    throw notPredictable(`${this.#name}, line ${this.#line}: ${what}`, 'only what GRUB surely does is predicted');
  }

  /** Up to one of the closing keywords, which is left to be read. */
  #statements(closing: readonly string[]): Statement[] {
    if (++this.#depth > MAX_DEPTH) this.#refuse('nested too deeply');
    const statements: Statement[] = [];
    for (;;) {
      this.#skipSpace(true);
      const keyword = this.#peekKeyword();
      if (this.#at >= this.#source.length || this.#peek() === '}' || closing.includes(keyword)) break;
      statements.push(this.#statement(keyword));
    }
    this.#depth--;
    return statements;
  }

  #statement(keyword: string): Statement {
    const line = this.#line;
    if (keyword === 'if') return this.#if(line);
    if (keyword === 'function') return this.#function(line);
    if (REFUSED_WORDS.has(keyword)) this.#refuse(`'${keyword}' is not followed`);
    return { kind: 'command', line, words: this.#words() };
  }

  #if(line: number): Statement {
    const arms: Arm[] = [];
    this.#take('if');
    for (;;) {
      const condition = this.#statements(['then']);
      this.#take('then');
      arms.push({ condition, body: this.#statements(['elif', 'else', 'fi']) });
      if (this.#peekKeyword() !== 'elif') break;
      this.#take('elif');
    }
    if (this.#peekKeyword() === 'else') {
      this.#take('else');
      arms.push({ condition: undefined, body: this.#statements(['fi']) });
    }
    this.#take('fi');
    return { kind: 'if', line, arms };
  }

  #function(line: number): Statement {
    this.#take('function');
    this.#skipSpace(false);
    const name = this.#peekKeyword();
    if (!/^[A-Za-z_]\w*$/.test(name)) this.#refuse('a function without a name');
    this.#take(name);
    this.#skipSpace(true);
    if (this.#peek() !== '{') this.#refuse('a function without a body');
    this.#at++;
    const body = this.#statements([]);
    if (this.#peek() !== '}') this.#refuse('a function without an end');
    this.#at++;
    return { kind: 'function', line, name, body };
  }

  #take(keyword: string): void {
    this.#skipSpace(true);
    if (this.#peekKeyword() !== keyword) this.#refuse(`'${keyword}' is missing`);
    this.#at += keyword.length;
  }

  #peek(): string {
    return this.#source[this.#at] ?? '';
  }

  #peekKeyword(): string {
    return /^[^\s;{}'"$\\#]+/.exec(this.#source.slice(this.#at, this.#at + 64))?.[0] ?? '';
  }

  /** Spaces and comments; statements' ends too where they mean nothing. */
  #skipSpace(acrossLines: boolean): void {
    for (;;) {
      const char = this.#peek();
      if (char === '#') {
        while (this.#at < this.#source.length && this.#peek() !== '\n') this.#at++;
      } else if (char === ' ' || char === '\t' || (acrossLines && (char === '\n' || char === ';'))) {
        if (char === '\n') this.#line++;
        this.#at++;
      } else return;
    }
  }

  #words(): Word[] {
    const words: Word[] = [];
    for (;;) {
      this.#skipSpace(false);
      const char = this.#peek();
      if (char === '' || char === '\n' || char === ';' || char === '}') return words;
      if (char === '{') {
        words.push(this.#block());
        return words;
      }
      words.push(this.#word());
    }
  }

  #word(): Word {
    const parts: WordPart[] = [];
    let quoted = false;
    for (;;) {
      const char = this.#peek();
      if (char === '' || /[\s;{}]/.test(char)) return { parts, quoted };
      if (char === "'" || char === '"') {
        quoted = true;
        // Not spread: a quotation may have more parts than a call has arguments.
        for (const part of char === "'" ? this.#singleQuoted() : this.#doubleQuoted()) parts.push(part);
      } else if (char === '$') {
        parts.push(this.#variable(false));
      } else if (char === '\\') {
        const next = this.#source[this.#at + 1];
        if (next === undefined || next === '\n') this.#refuse('a line that goes on in the next');
        parts.push({ kind: 'text', text: next });
        this.#at += 2;
      } else {
        const text = /^[^\s;{}'"$\\]+/.exec(this.#source.slice(this.#at))?.[0] ?? '';
        if (/[*?<>|&\r]/.test(text)) this.#refuse(`'${text}' has characters that GRUB may expand`);
        parts.push({ kind: 'text', text });
        this.#at += text.length;
      }
    }
  }

  #singleQuoted(): WordPart[] {
    const end = this.#source.indexOf("'", this.#at + 1);
    if (end < 0) this.#refuse('a quotation without an end');
    const text = this.#source.slice(this.#at + 1, end);
    this.#line += text.split('\n').length - 1;
    if (text.includes('\n#')) this.#refuse('a line of a quotation that GRUB takes for a comment');
    this.#at = end + 1;
    return [{ kind: 'text', text }];
  }

  #doubleQuoted(): WordPart[] {
    const parts: WordPart[] = [];
    let text = '';
    const endText = (): void => {
      if (text !== '') parts.push({ kind: 'text', text });
      text = '';
    };
    this.#at++;
    for (;;) {
      const char = this.#peek();
      if (char === '') this.#refuse('a quotation without an end');
      if (char === '"') {
        endText();
        this.#at++;
        return parts;
      }
      if (char === '$') {
        endText();
        parts.push(this.#variable(true));
        continue;
      }
      const next = this.#source[this.#at + 1] ?? '';
      const escaped = char === '\\' && '"\\$'.includes(next) && next !== '';
      if (char === '\n') this.#line++;
      text += escaped ? next : char;
      this.#at += escaped ? 2 : 1;
    }
  }

  #variable(quoted: boolean): WordPart {
    const match = /^\$(?:\{([A-Za-z_]\w*|\d+|[?#@*])\}|([A-Za-z_]\w*|\d+|[?#@*]))/.exec(
      this.#source.slice(this.#at, this.#at + 256),
    );
    const name = match?.[1] ?? match?.[2];
    if (match === null || name === undefined) this.#refuse('a variable that is not followed');
    this.#at += match[0].length;
    return { kind: 'variable', name, quoted };
  }

  /** The source from brace to brace, which GRUB keeps as it is written. */
  #block(): Word {
    const start = this.#at;
    const line = this.#line;
    this.#at++;
    // Parsed for its end alone: quotations and comments may hold braces.
    this.#statements([]);
    if (this.#peek() !== '}') this.#refuse('a block without an end');
    this.#at++;
    const source = this.#source.slice(start, this.#at);
    return { parts: [], quoted: true, block: { source, text: source.replace(/\n#[^\n]*(?=\n)/g, ''), line } };
  }
}
