import { parseArgs } from 'node:util'

/**
 * What a job of the benchmarks is told on its command line: `--name value`, with a default for each. Worker threads see the same command line and
 * so build the same graph. Every other flag belongs to the engine.
 */
export function argumentsOf<Defaults extends Readonly<Record<string, number | string>>>(defaults: Defaults): Widened<Defaults> {
  const options = Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: 'string' as const }]))
  const { values } = parseArgs({ options, strict: false })
  const read = Object.entries(defaults).map(([name, preset]) => {
    const given = values[name] as string | undefined
    return [name, given === undefined ? preset : typeof preset === 'number' ? numberOf(name, given) : given]
  })
  return Object.fromEntries(read) as Widened<Defaults>
}

type Widened<Defaults> = { readonly [Name in keyof Defaults]: Defaults[Name] extends number ? number : string }

function numberOf(name: string, given: string): number {
  const value = Number(given)
  if (!Number.isFinite(value)) throw new Error(`--${name} takes a number, not '${given}'`)
  return value
}
