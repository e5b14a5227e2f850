import { existsSync, globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

/* What can be told without packing; scripts/check-package.mjs packs, installs and runs. */

interface Manifest {
  readonly engines: { readonly node: string }
  readonly files: readonly string[]
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly scripts: Readonly<Record<string, string>>
}

interface Lock {
  readonly packages: Readonly<Record<string, LockedPackage>>
}

interface LockedPackage {
  readonly version?: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string): string => readFileSync(`${root}${path}`, 'utf8')
const manifest = JSON.parse(read('package.json')) as Manifest
const lock = JSON.parse(read('package-lock.json')) as Lock
const entries = Object.entries(manifest.exports).filter(([, target]) => typeof target !== 'string') as [
  string,
  Readonly<Record<string, string>>,
][]

test.each(entries)('the export %s has a source, and types and code that the build makes from it', (_, targets) => {
  expect(Object.keys(targets)).toEqual(['@sluice/source', 'types', 'default'])
  const { '@sluice/source': source, types, default: code } = targets
  expect(existsSync(`${root}${source}`)).toBe(true)
  const compiled = `./dist/${source!.slice(2)}`
  expect(types).toBe(compiled.replace(/\.ts$/, '.d.ts'))
  expect(code).toBe(compiled.replace(/\.ts$/, '.js'))
})

test('the engine and what tests need are exported, and they are all there is', () => {
  expect(entries.map(([name]) => name)).toEqual(['.', './testing', './state'])
})

test('sluice/testing needs no test runner', () => {
  const files = globSync('src/testing/*.ts', { cwd: root })
  expect(files.length).toBeGreaterThan(5)
  expect(files.filter((file) => /from '(vitest|node:test|node:assert)/.test(read(file)))).toEqual([])
})

test('only what is compiled is published', () => {
  expect(manifest.files).toContain('dist')
  for (const folder of ['src', 'operators', 'test', 'benchmarks', 'examples', 'scripts'])
    expect(manifest.files).not.toContain(folder)
})

test('the oldest Node that is promised runs TypeScript without a flag', () => {
  expect(manifest.engines.node).toBe('>=22.18')
})

test('the project brings a Node along that keeps the promise', () => {
  const [major, minor] = process.versions.node.split('.').map(Number)
  expect(major! > 22 || (major === 22 && minor! >= 18)).toBe(true)
  expect(lock.packages['node_modules/node']?.version).toBe(process.versions.node)
})

test('the lock file names what the manifest asks for', () => {
  expect(lock.packages['']?.dependencies).toEqual(manifest.dependencies)
})

test('each npm script that needs the dependencies installs them first', () => {
  for (const script of ['start', 'test', 'bench'])
    expect(manifest.scripts[`pre${script}`]).toBe('node scripts/ensure-installed.mjs')
})

test('what runs before the installation is plain JavaScript without dependencies', () => {
  const imported = [...read('scripts/ensure-installed.mjs').matchAll(/from '([^']+)'/g)].map((match) => match[1]!)
  expect(imported.length).toBeGreaterThan(0)
  expect(imported.filter((name) => !name.startsWith('node:'))).toEqual([])
})

/* `npm ci` refuses a lock file that leaves out a platform's package, on every platform. */
test('the lock file knows the packages of all platforms', () => {
  const wanted = Object.values(lock.packages).flatMap((locked) => Object.keys(locked.optionalDependencies ?? {}))
  expect(wanted.length).toBeGreaterThan(0)
  expect(wanted.filter((name) => lock.packages[`node_modules/${name}`] === undefined)).toEqual([])
})
