import { assert } from '../core/assert.ts'
import { timeOf } from './columnar-interpreter.ts'
import type { RecordCode } from './columnar-layout.ts'
import { NULL, PRESENT, UNDEFINED } from './columnar-layout.ts'
import type { Column } from './columnar-schema.ts'
import { isOrdinaryName } from './columnar-schema.ts'

/*
 * Code for the records of one schema: one loop that takes a record apart, and one that puts it together. What always holds:
 *
 * - Every property is named in the code, so V8 reads it at a fixed place, and all records of a batch are made by one literal: they have the same hidden
 *   class, which keeps the code that works on them fast.
 * - Nothing of a record is believed: prototype, names and their order, and the kind of every value are checked for each, and the first that does not fit
 *   ends the loop. A value is read once: what is checked is what is written.
 * - A property is read before the prototype is looked at: by then V8 knows the hidden class, and the look costs nothing (measured: 9 ns before, 1 ns
 *   behind).
 * - Names come into the code by `JSON.stringify` alone, and only ordinary ones (`isOrdinaryName`).
 */

/** Whether this process may make code from strings: `--disallow-code-generation-from-strings` forbids it. */
export function mayGenerate(): boolean {
  try {
    return new Function('return true')() === true
  } catch {
    return false
  }
}

export function generate(column: Column): RecordCode {
  return { write: new WriterSource().compile(column), read: new ReaderSource().compile(column) }
}

/** What generated code uses besides its arguments. */
const KNOWN = {
  getPrototypeOf: Object.getPrototypeOf,
  isArray: Array.isArray,
  asInt64: BigInt.asIntN,
  ObjectPrototype: Object.prototype,
  ArrayPrototype: Array.prototype,
  timeOf,
} as const

/** Names in the code, and what is set up before its loop. */
class Source {
  protected readonly setup: string[] = []
  #slots = 0
  #parts = 0
  #variables = 0

  /** A variable that holds the beginning of the next slot, as a position in the view of this width. */
  protected slot(shift: 0 | 2 | 3): string {
    const slot = this.#slots++
    this.setup.push(`const p${slot} = places[${slot}] >>> ${shift}`)
    return `p${slot}`
  }

  protected partNumber(): number {
    return this.#parts++
  }

  protected variable(): string {
    return `v${this.#variables++}`
  }

  protected build<T>(parameters: string, body: string, lists: readonly (readonly string[])[]): T {
    const known = `const { ${Object.keys(KNOWN).join(', ')} } = known`
    const views = 'const { bytes, int32, float64, int64 } = memory'
    const code = `'use strict'\n${known}\nreturn (${parameters}) => {\n${views}\n${this.setup.join('\n')}\n${body}\n}`
    return new Function('known', 'lists', code)(KNOWN, lists) as T
  }
}

/** The code of a column: what a value of it does, and what stands in its place when its parent is null. */
interface Written {
  readonly value: string
  readonly filler: string
}

/** A column whose values are those of a view as they are. */
interface NumberColumn {
  readonly view: string
  readonly shift: 2 | 3
  /** The condition under which a value belongs to it. */
  readonly fits: (v: string) => string
  readonly zero: string
}

const NUMBERS: Readonly<Record<'int32' | 'float64' | 'int64', NumberColumn>> = {
  int32: {
    view: 'int32',
    shift: 2,
    fits: (v) => `typeof ${v} === 'number' && (${v} | 0) === ${v} && (${v} !== 0 || 1 / ${v} > 0)`,
    zero: '0',
  },
  float64: { view: 'float64', shift: 3, fits: (v) => `typeof ${v} === 'number'`, zero: '0' },
  int64: { view: 'int64', shift: 3, fits: (v) => `typeof ${v} === 'bigint' && asInt64(64, ${v}) === ${v}`, zero: '0n' },
}

class WriterSource extends Source {
  readonly #lists: (readonly string[])[] = []

  compile(column: Column): RecordCode['write'] {
    const { value } = this.#column(column, 'record')
    const body = `for (let i = 0; i < values.length; i++) {\nconst record = values[i]\n${value}\n}\nreturn true`
    return this.build('values, memory, places, parts', body, this.#lists)
  }

  #column(column: Column, v: string): Written {
    if (!column.nullable) return this.#present(column, v)
    const at = `bytes[${this.slot(0)} + i]`
    const { value, filler } = this.#present(column, v)
    return {
      value: `if (${v} === null) { ${at} = ${NULL}\n${filler} } else if (${v} === undefined) { ${at} = ${UNDEFINED}\n${filler} } else { ${at} = ${PRESENT}\n${value} }`,
      filler: `${at} = ${PRESENT}\n${filler}`,
    }
  }

  #present(column: Column, v: string): Written {
    switch (column.kind) {
      case 'none':
        return { value: 'return false', filler: '' }
      case 'date':
        return this.#date(v)
      case 'boolean': {
        const set = `bytes[${this.slot(0)} + (i >> 3)] |= 1 << (i & 7)`
        return { value: `if (${v} === true) ${set}\nelse if (${v} !== false) return false`, filler: '' }
      }
      case 'text':
        return this.#part(v, `if (typeof ${v} !== 'string') return false`, "''")
      case 'any':
        return this.#part(v, '', 'undefined')
      case 'object':
        return this.#object(column, v)
      case 'tuple':
        return this.#tuple(column, v)
      default:
        return this.#number(NUMBERS[column.kind], v)
    }
  }

  #number({ view, shift, fits, zero }: NumberColumn, v: string): Written {
    const at = `${view}[${this.slot(shift)} + i]`
    return { value: `if (!(${fits(v)})) return false\n${at} = ${v}`, filler: `${at} = ${zero}` }
  }

  #date(v: string): Written {
    const at = `float64[${this.slot(3)} + i]`
    const time = this.variable()
    const value = `const ${time} = timeOf(${v})\nif (${time} === undefined) return false\n${at} = ${time}`
    return { value, filler: `${at} = 0` }
  }

  #part(v: string, check: string, filler: string): Written {
    const part = this.partNumber()
    this.setup.push(`const s${part} = new Array(values.length)\nparts.push(s${part})`)
    return { value: `${check}\ns${part}[i] = ${v}`, filler: `s${part}[i] = ${filler}` }
  }

  #object({ names, children }: Column, v: string): Written {
    const list = this.#lists.push(names) - 1
    const count = this.variable()
    this.setup.push(`const n${list} = lists[${list}]`)
    const below = this.#children(children, (index) => propertyOf(v, names[index]!))
    const value = `if (typeof ${v} !== 'object' || ${v} === null) return false
${below.reads}
if (getPrototypeOf(${v}) !== ObjectPrototype) return false
let ${count} = 0
for (const name in ${v}) if (name !== n${list}[${count}++]) return false
if (${count} !== ${names.length}) return false
${below.value}`
    return { value, filler: below.filler }
  }

  #tuple({ children }: Column, v: string): Written {
    const below = this.#children(children, (index) => `${v}[${index}]`)
    const value = `if (!isArray(${v}) || ${v}.length !== ${children.length} || getPrototypeOf(${v}) !== ArrayPrototype) return false
${below.reads}
${below.value}`
    return { value, filler: below.filler }
  }

  #children(children: readonly Column[], read: (index: number) => string): Written & { readonly reads: string } {
    const variables = children.map(() => this.variable())
    const written = children.map((child, index) => this.#column(child, variables[index]!))
    return {
      reads: variables.map((variable, index) => `const ${variable} = ${read(index)}`).join('\n'),
      value: written.map(({ value }) => value).join('\n'),
      filler: written.map(({ filler }) => filler).join('\n'),
    }
  }
}

class ReaderSource extends Source {
  compile(column: Column): RecordCode['read'] {
    const record = this.#column(column)
    const body = `for (let i = 0; i < records.length; i++) records[i] = ${record}`
    return this.build('records, memory, places, parts', body, [])
  }

  #column(column: Column): string {
    if (!column.nullable) return this.#present(column)
    const at = `bytes[${this.slot(0)} + i]`
    return `(${at} === ${PRESENT} ? ${this.#present(column)} : ${at} === ${NULL} ? null : undefined)`
  }

  #present({ kind, names, children }: Column): string {
    switch (kind) {
      case 'none':
        return 'undefined'
      case 'date':
        return `new Date(float64[${this.slot(3)} + i])`
      case 'boolean':
        return `((bytes[${this.slot(0)} + (i >> 3)] >> (i & 7)) & 1) === 1`
      case 'text':
      case 'any': {
        const part = this.partNumber()
        this.setup.push(`const s${part} = parts[${part}]`)
        return `s${part}[i]`
      }
      case 'object':
        return `{ ${children.map((child, index) => `${literalOf(names[index]!)}: ${this.#column(child)}`).join(', ')} }`
      case 'tuple':
        return `[${children.map((child) => this.#column(child)).join(', ')}]`
      default:
        return `${NUMBERS[kind].view}[${this.slot(NUMBERS[kind].shift)} + i]`
    }
  }
}

function propertyOf(v: string, name: string): string {
  return `${v}[${literalOf(name)}]`
}

function literalOf(name: string): string {
  assert(isOrdinaryName(name), `code for a property of the name ${JSON.stringify(name)}`)
  return JSON.stringify(name)
}
