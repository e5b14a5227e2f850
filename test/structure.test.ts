import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

/*
 * Who may import whom. What is read are the import lines themselves, so a rule that is broken fails here and not in a review.
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url))

interface Import {
  /** The importing file, from the root of the repository. */
  readonly file: string
  /** What it imports: a file of the repository, `node:...` or the name of a package. */
  readonly target: string
}

const FILES: readonly string[] = globSync(['src/**/*.ts', 'operators/**/*.ts'], { cwd: ROOT }).map((file) => normalize(file))
const IMPORTS: readonly Import[] = FILES.flatMap((file) => importsOf(file))

function importsOf(file: string): readonly Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8')
  // `from '...'` of imports and exports, `import '...'`, `import('...')`, and modules that are named by their URL, as workers are.
  const specifiers = text.matchAll(
    /^(?:import|export)\b[^'"`]*?\bfrom\s+['"]([^'"]+)['"]|^import\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]|['"](\.{1,2}\/[^'"]+\.[jt]s)['"]/gm,
  )
  const targets = [...specifiers].map((match) => (match[1] ?? match[2] ?? match[3] ?? match[4])!)
  return [...new Set(targets)].map((specifier) => ({ file, target: resolved(file, specifier) }))
}

function resolved(file: string, specifier: string): string {
  if (specifier.startsWith('.')) return normalize(join(dirname(file), specifier)).replace(/\.js$/, '.ts')
  if (specifier.startsWith('node:')) return specifier
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/** The layer of a file of the repository: its folder in `src`, `operators`, `index`; `undefined` for packages. */
function layerOf(target: string): string | undefined {
  if (target.startsWith('operators/')) return 'operators'
  if (!target.startsWith('src/')) return undefined
  return target.split('/').length === 2 ? 'index' : target.split('/')[1]!
}

/**
 * What each layer may import, beside itself. Down only: contracts, then values and decisions, then what runs them, then the job as it is
 * written.
 */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  core: [],
  operators: ['core'],
  state: ['core'],
  graph: ['core'],
  protocol: ['core', 'graph', 'state'],
  checkpoint: ['core', 'graph', 'protocol', 'state'],
  runtime: ['core', 'graph', 'protocol', 'state', 'checkpoint'],
  control: ['core', 'graph', 'protocol', 'checkpoint', 'state'],
  testing: ['core', 'graph', 'state', 'protocol', 'checkpoint', 'runtime', 'control', 'dsl', 'operators'],
  cli: ['core', 'graph', 'control', 'checkpoint'],
  dsl: ['core', 'graph', 'control', 'operators'],
  reading: ['checkpoint'],
  index: ['core', 'control', 'dsl', 'operators'],
}

/** Imports against the rule, each with the reason why it is there. */
const EXCEPTIONS: readonly (Import & { readonly reason: string })[] = [
  {
    file: 'src/control/workers.ts',
    target: 'src/runtime/worker-host.ts',
    reason: 'with `workers: 0` the host of a worker runs in the main thread, at the other end of a message channel',
  },
  {
    file: 'src/control/workers.ts',
    target: 'src/runtime/worker.ts',
    reason: 'not an import: the name of the file that a worker thread begins with',
  },
]

function isException({ file, target }: Import): boolean {
  return EXCEPTIONS.some((exception) => exception.file === file && exception.target === target)
}

const shown = ({ file, target }: Import): string => `${file} imports ${target}`

/** The files that import a package. */
function importersOf(name: string): readonly string[] {
  return IMPORTS.filter(({ target }) => target === name).map(({ file }) => file)
}

describe('imports', () => {
  test('were found', () => {
    expect(FILES.length).toBeGreaterThan(50)
    expect(IMPORTS.length).toBeGreaterThan(200)
    expect(IMPORTS).toContainEqual({ file: 'src/index.ts', target: 'src/dsl/job.ts' })
    expect(IMPORTS).toContainEqual({ file: 'src/control/workers.ts', target: 'src/runtime/worker.ts' })
  })

  test('name files that exist, with their ending', () => {
    const local = IMPORTS.filter(({ target }) => layerOf(target) !== undefined)
    expect(local.filter(({ target }) => !FILES.includes(target)).map(shown)).toEqual([])
  })

  test('come from layers that are known', () => {
    expect([...new Set(FILES.map(layerOf))].filter((layer) => !(layer! in ALLOWED))).toEqual([])
  })

  test.each(Object.entries(ALLOWED))('of %s go to itself and to: %j', (layer, allowed) => {
    const wrong = IMPORTS.filter((each) => {
      const to = layerOf(each.target)
      return layerOf(each.file) === layer && to !== undefined && to !== layer && !allowed.includes(to) && !isException(each)
    })
    expect(wrong.map(shown)).toEqual([])
  })

  test('that are exceptions are still there', () => {
    const gone = EXCEPTIONS.filter(
      (exception) => !IMPORTS.some(({ file, target }) => exception.file === file && exception.target === target),
    )
    expect(gone.map(shown)).toEqual([])
  })

  test('between layers have no cycle', () => {
    const edges = new Map<string, Set<string>>()
    for (const each of IMPORTS) {
      const [from, to] = [layerOf(each.file)!, layerOf(each.target)]
      if (to !== undefined && to !== from && !isException(each)) edges.set(from, (edges.get(from) ?? new Set()).add(to))
    }
    const cycles: string[] = []
    const visit = (layer: string, path: readonly string[]): void => {
      if (path.includes(layer)) cycles.push([...path, layer].join(' -> '))
      else for (const next of edges.get(layer) ?? []) visit(next, [...path, layer])
    }
    for (const layer of edges.keys()) visit(layer, [])
    expect(cycles).toEqual([])
  })

  test('between files have no cycle that exists when the program runs', () => {
    const edges = new Map<string, readonly string[]>()
    for (const file of FILES) {
      const text = readFileSync(join(ROOT, file), 'utf8')
      const lines = text.matchAll(/^(?:import|export)(?!\s+type\b)[^'"`]*?\bfrom\s+['"](\.[^'"]+)['"]/gm)
      edges.set(
        file,
        [...lines].map(([, specifier]) => resolved(file, specifier!)),
      )
    }
    const done = new Set<string>()
    const cycles: string[] = []
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '))
      else if (!done.has(file)) {
        for (const next of edges.get(file) ?? []) visit(next, [...path, file])
        done.add(file)
      }
    }
    for (const file of FILES) visit(file, [])
    // keyBy leads from a stream to a keyed one, and the verbs of that one lead back: the classes of the language know each other.
    const withinLanguage = (cycle: string): boolean => cycle.split(' -> ').every((file) => layerOf(file) === 'dsl')
    expect(cycles.filter((cycle) => !withinLanguage(cycle))).toEqual([])
  })
})

describe('packages', () => {
  test.each([
    ['lmdb', ['src/checkpoint/environment.ts']],
    ['msgpackr', ['src/core/value-codec.ts']],
    ['piscina', ['src/control/workers.ts']],
  ])('%s is known to one file', (name, files) => {
    expect(importersOf(name)).toEqual(files)
  })

  test('that are imported are dependencies, and every dependency is imported', () => {
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>
    }
    const packages = IMPORTS.map(({ target }) => target).filter(
      (target) => layerOf(target) === undefined && !target.startsWith('node:'),
    )
    expect([...new Set(packages)].sort()).toEqual(Object.keys(dependencies).sort())
  })
})

describe('files', () => {
  test('of operators have at most 400 lines', () => {
    const long = FILES.filter((file) => file.startsWith('operators/')).filter((file) => lines(file) > 400)
    expect(long).toEqual([])
  })

  test('import nothing by a path that leaves the repository', () => {
    expect(IMPORTS.filter(({ target }) => target.startsWith('..') || target.startsWith('/')).map(shown)).toEqual([])
    expect(relative(ROOT, join(ROOT, 'src'))).toBe('src')
  })
})

function lines(file: string): number {
  return readFileSync(join(ROOT, file), 'utf8').trimEnd().split('\n').length
}
