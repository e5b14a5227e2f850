import type { Receiver } from '../core/operator.ts'
import type { FlatMapStep, MapStep, RecordStep, SplitStep } from '../core/record-step.ts'
import { refuseAsync } from '../core/refuse-async.ts'
import { NO_TIMESTAMP } from '../core/time.ts'
import type { LoopSurroundings, RecordLoop } from './record-loop.ts'
import { plainLoop } from './record-loop.ts'

/*
 * Chains as generated code. Written as closures that call each other, all maps of a thread are one piece of code to the compiler, and so are
 * all filters and exchanges: from the fifth of a kind on it knows nothing of the functions that they call. So each chain gets a loop of
 * its own, with the functions of the job in their places. What always holds:
 *
 * - The loop does what the receivers do by themselves (`plainLoop`, `onRecord`), in the same order and with the same errors. A receiver without a step
 *   is called.
 * - No two texts are equal: of equal ones the compiler would make one, with what it has learnt of both.
 * - Nothing of the job is in the text, only its functions are handed in.
 * - Where code from strings is forbidden, the plain way is taken.
 */

/** Steps that go into one function; what comes behind them becomes another, because the compiler leaves very long functions as they are. */
const STEPS_MAX = 32

let chains = 0

/** The loop over a receiver and everything behind it. */
export function fusedLoop(receiver: Receiver, surroundings: LoopSurroundings): RecordLoop {
  const code = new FusedCode()
  const cell = code.constant(surroundings.cell)
  const backpressure = code.constant(surroundings.backpressure)
  const signals = code.constant(surroundings.signals)
  const head = code.head(receiver)
  const made = code.compile<RecordLoop>(`(values, timestamps, from, until, urgent) => {
  let index = from
  ${head.before}
  do {
    ${cell}.timestamp = timestamps === undefined ? ${String(NO_TIMESTAMP)} : timestamps[index]
    const value = values[index]
    ${head.each}
    index++
    ${signals}.beat()
  } while (index < until && !${backpressure}.full && !${backpressure}.behind && ${signals}.urgent === urgent)
  return index
}`)
  return made ?? plainLoop(receiver, surroundings)
}

/**
 * The output of an operator that is not part of a loop itself, such as a window: compiled when its first record comes, because one that has a step
 * needs none.
 */
export function fusedReceiver(receiver: Receiver): Receiver {
  return receiver.step === undefined ? receiver : new FusedReceiver(receiver)
}

class FusedReceiver implements Receiver {
  readonly step: RecordStep | undefined
  onRecord: (value: unknown) => void

  constructor(receiver: Receiver) {
    this.step = receiver.step
    this.onRecord = (value) => {
      const code = new FusedCode()
      const made = code.compile<(value: unknown) => void>(`(value) => {
  ${code.take(receiver, 'value')}
}`)
      this.onRecord = made ?? ((each) => receiver.onRecord(each))
      this.onRecord(value)
    }
  }
}

/** Writes the code of one chain. */
class FusedCode {
  readonly #constants = new Map<unknown, string>()
  /** Functions for parts that are reached from several places, or too long. */
  readonly #parts: string[] = []
  #names = 0
  #steps = 0

  /** The function whose text it is; `undefined` where code from strings is forbidden. */
  compile<F>(text: string): F | undefined {
    // Constants that are known as such become part of the machine code.
    const names = [...this.#constants.values()].map((name, place) => `const ${name} = constants[${place}]`)
    const source = ['"use strict"', ...names, ...this.#parts, `return ${text}`, `//# sourceURL=sluice-chain-${++chains}`].join(
      '\n',
    )
    try {
      return new Function('constants', source)([...this.#constants.keys()]) as F
    } catch (error) {
      if (error instanceof EvalError) return undefined
      throw error
    }
  }

  /** The name of something that is handed in. */
  constant(value: unknown): string {
    let name = this.#constants.get(value)
    if (name === undefined) this.#constants.set(value, (name = this.#name('c')))
    return name
  }

  #name(prefix: string): string {
    return `${prefix}${this.#names++}`
  }

  /**
   * Statements for the receiver that takes the batch: what may be done for many records at once, before the loop, and what is done with each `value`,
   * which is the one at `index`.
   */
  head(receiver: Receiver): { readonly before: string; readonly each: string } {
    const { step } = receiver
    switch (step?.kind) {
      case 'pass':
        return this.head(step.output)
      case 'key': {
        const [keys, fn] = [this.constant(step.keys), this.constant(step.fn)]
        const set = `if (index < prepared) ${keys}.useKey(index)\nelse ${keys}.setKey(${fn}(value))`
        return {
          before: `const prepared = ${keys}.prepareKeys(values, from, ${fn})`,
          each: this.#guarded(step, 'value', set, this.take(step.output, 'value')),
        }
      }
      case 'hash': {
        const exchange = this.constant(step.exchange)
        const found = `if (index < prepared) channel = ${exchange}.preparedChannel(index)
else channel = ${exchange}.channelOf(${this.constant(step.fn)}(value))`
        return {
          before: `const prepared = ${exchange}.prepareChannels(values, from)`,
          each: `let channel
${this.#guarded(step, 'value', found, `channel.add(value, ${this.constant(step.cell)}.timestamp)`)}`,
        }
      }
      default:
        return { before: '', each: this.take(receiver, 'value') }
    }
  }

  /** Statements that do what `receiver.onRecord` does with the value of that name. */
  take(receiver: Receiver, value: string): string {
    const { step } = receiver
    if (step === undefined) return `${this.constant(receiver)}.onRecord(${value})`
    if (++this.#steps % STEPS_MAX === 0) return `${this.#part(receiver)}(${value})`
    switch (step.kind) {
      case 'pass':
        return this.take(step.output, value)
      case 'map': {
        const result = this.#name('v')
        const called = `${result} = ${this.#call(step.fn, step, value)}\n${this.#checkResult(result)}`
        return `let ${result}\n${this.#guarded(step, value, called, this.take(step.output, result))}`
      }
      case 'filter': {
        const accepted = this.#name('v')
        const called = `${accepted} = ${this.#call(step.fn, step, value)}\n${this.#checkResult(accepted)}`
        const rest = `if (${accepted}) {\n${this.take(step.output, value)}\n}`
        return `let ${accepted}\n${this.#guarded(step, value, called, rest)}`
      }
      case 'flat-map':
        return this.#flatMap(step, value)
      case 'split':
        return this.#split(step, value)
      case 'timestamp': {
        const [time, before] = [this.#name('v'), this.#name('v')]
        const cell = this.constant(step.cell)
        const called = `${time} = ${this.constant(step.check)}(${this.#call(step.fn, step, value)})`
        const rest = `${this.constant(step.before)}(${time})
const ${before} = ${cell}.timestamp
${cell}.timestamp = ${time}
${this.take(step.output, value)}
${cell}.timestamp = ${before}
${this.constant(step.after)}()`
        return `let ${time}\n${this.#guarded(step, value, called, rest)}`
      }
      case 'key': {
        const set = `${this.constant(step.keys)}.setKey(${this.constant(step.fn)}(${value}))`
        return this.#guarded(step, value, set, this.take(step.output, value))
      }
      case 'hash': {
        const channel = this.#name('v')
        const exchange = this.constant(step.exchange)
        const found = `${channel} = ${exchange}.channelOf(${this.constant(step.fn)}(${value}))`
        const send = `${channel}.add(${value}, ${this.constant(step.cell)}.timestamp)`
        return `let ${channel}\n${this.#guarded(step, value, found, send)}`
      }
      case 'send':
        return `${this.constant(step.channel)}.add(${value}, ${this.constant(step.cell)}.timestamp)`
      case 'write':
        return this.#guarded(
          step,
          value,
          `${this.constant(step.writer)}.write(${value})`,
          `${this.constant(step.counter)}.records++`,
        )
      case 'fan-out':
        return step.outputs.map((output) => `{\n${this.take(output, value)}\n}`).join('\n')
    }
  }

  #flatMap(step: FlatMapStep, value: string): string {
    const [results, place] = [this.#name('v'), this.#name('i')]
    const rest = this.#part(step.output)
    const output = this.#name('o')
    this.#parts.push(`const ${output} = { onRecord: ${rest} }`)
    const called = `${results} = ${this.#call(step.fn, step, value)}`
    const iterated = this.#tolerated(step, value, `${this.constant(step.iterate)}(${results}, ${output})`)
    return `let ${results}
${this.#guarded(
  step,
  value,
  called,
  `if (Array.isArray(${results})) for (let ${place} = 0; ${place} < ${results}.length; ${place}++) ${rest}(${results}[${place}])
else ${iterated}`,
)}`
  }

  #split(step: SplitStep, value: string): string {
    const [accepted, chosen] = [this.#name('v'), this.#name('v')]
    const asked = step.branches.map(
      ({ fn }, place) => `if (${chosen} < 0) {
${accepted} = ${this.#call(fn, step, value)}
${this.#checkResult(accepted)}
if (${accepted}) ${chosen} = ${place}
}`,
    )
    const taken = step.branches.map(({ output }, place) => `if (${chosen} === ${place}) {\n${this.take(output, value)}\n} else `)
    const rest = `${taken.join('')}{\n${this.take(step.output, value)}\n}`
    return `let ${accepted}, ${chosen} = -1\n${this.#guarded(step, value, asked.join('\n'), rest)}`
  }

  /** A function for a receiver and everything behind it. */
  #part(receiver: Receiver): string {
    const name = this.#name('part')
    // The functions that it calls are written first.
    const body = this.take(receiver, 'value')
    this.#parts.push(`const ${name} = (value) => {\n${body}\n}`)
    return name
  }

  #call(fn: unknown, { context }: { readonly context: unknown }, value: string): string {
    return `${this.constant(fn)}(${value}, ${this.constant(context)})`
  }

  /** The call is for promises alone: `instanceof` with the values of this chain is cheaper than one with those of all. */
  #checkResult(result: string): string {
    return `if (typeof ${result} === 'object' && ${result} instanceof Promise) ${this.constant(refuseAsync)}(${result})`
  }

  /** Calls a function of the job, and then goes on with `rest`, but not with a record that the job passes over. */
  #guarded({ failure, refuse }: Guard, value: string, called: string, rest: string): string {
    const error = `${this.constant(failure)}(error)`
    if (refuse === undefined) return `try {\n${called}\n} catch (error) {\nthrow ${error}\n}\n${rest}`
    const passed = this.#name('passed')
    return `${passed}: {
try {
${called}
} catch (error) {
${this.constant(refuse)}(${value}, ${error})
break ${passed}
}
${rest}
}`
  }

  /** What throws nothing but errors that have their place. */
  #tolerated({ refuse }: Guard, value: string, called: string): string {
    if (refuse === undefined) return called
    return `try {\n${called}\n} catch (error) {\n${this.constant(refuse)}(${value}, error)\n}`
  }
}

type Guard = Pick<MapStep, 'failure' | 'refuse'>
