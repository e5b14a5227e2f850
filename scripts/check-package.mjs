/*
 * Proves the package as a user meets it: packs it, installs the tarball into an empty folder, and there compiles and runs a job, on the
 * Node of the project and on the oldest one that `engines` allows. One line for each check, `ok` or `not ok`.
 *
 *     npm run check-package
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const fixtures = join(root, 'scripts', 'package-check')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const scratch = mkdtempSync(join(tmpdir(), 'sluice-package-'))
const project = join(scratch, 'project')
const installed = join(project, 'node_modules', manifest.name)
const MINUTE = 60_000

let failed = 0

main()
if (failed === 0) rmSync(scratch, { recursive: true, force: true })
else console.log(`# what was made is kept in ${scratch}`)
process.exitCode = failed === 0 ? 0 : 1

/** Later checks stand on earlier ones: without a tarball there is nothing to install. */
function main() {
  const tarball = check('npm pack makes a tarball', pack)
  if (tarball === undefined) return
  check('the tarball holds the compiled engine and its papers, and nothing else', () => holdsWhatItShould(tarball.files))
  if (check('npm install takes the tarball into an empty folder', () => install(tarball.path)) === undefined) return
  check('every target of the exports map is there', () => exportsExist(manifest.exports))
  check('its types stand in a project that checks them all', () => compile())
  check('require finds it too', () => runs(process.execPath, ['-p', "typeof require('sluice').job"], 'function'))
  check(`a job in TypeScript runs on Node ${process.versions.node}`, () => runJob(process.execPath))
  check(`sluice/testing runs a job by hand on Node ${process.versions.node}`, () => runByHand(process.execPath))
  const oldest = oldestNode()
  const node = check(`Node ${oldest} can be had`, () => installNode(oldest))
  if (node === undefined) return
  check(`a job in TypeScript runs on Node ${oldest}`, () => runJob(node))
  check(`sluice/testing runs a job by hand on Node ${oldest}`, () => runByHand(node))
}

function check(name, action) {
  const startedAt = Date.now()
  try {
    const result = action() ?? true
    console.log(`ok ${name} (${((Date.now() - startedAt) / 1000).toFixed(1)} s)`)
    return result
  } catch (error) {
    failed++
    console.log(`not ok ${name}\n${String(error.message).replace(/^/gm, '#   ')}`)
    return undefined
  }
}

function pack() {
  // The build prints to stdout too, so what npm tells is found by looking into the folder.
  const path = () => readdirSync(scratch).find((name) => name.endsWith('.tgz'))
  npm(['pack', '--pack-destination', scratch], root)
  const files = run('tar', ['-tzf', join(scratch, path())], scratch)
  return { path: join(scratch, path()), files: files.trim().split('\n') }
}

function holdsWhatItShould(files) {
  const names = files.map((file) => file.replace(/^package\//, ''))
  const stray = names.filter(
    (name) => !/^(package\.json|(README|CHANGELOG|ARCHITECTURE)\.md|LICENSE|docs\/.*|dist\/.*\.(js|d\.ts))$/.test(name),
  )
  expect(stray.length === 0, `unexpected: ${stray.join(', ')}`)
  for (const name of [
    'package.json',
    'README.md',
    'LICENSE',
    'dist/src/index.js',
    'dist/src/index.d.ts',
    'dist/src/testing/index.js',
    'dist/src/testing/index.d.ts',
    'dist/src/reading/index.js',
    'dist/src/reading/index.d.ts',
    'dist/src/runtime/worker.js',
  ]) {
    expect(names.includes(name), `${name} is missing`)
  }
  for (const name of names.filter((file) => file.endsWith('.js'))) {
    expect(names.includes(name.replace(/\.js$/, '.d.ts')), `${name} has no types`)
  }
}

function install(tarball) {
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n')
  npm(['install', tarball], project)
  for (const name of ['job.ts', 'test.ts', 'tsconfig.json']) cpSync(join(fixtures, name), join(project, name))
}

/** `source` is for working on the engine itself, from a checkout. */
function exportsExist(targets) {
  if (typeof targets === 'string') return expect(existsSync(join(installed, targets)), `${targets} is missing`)
  for (const [condition, target] of Object.entries(targets)) if (condition !== '@sluice/source') exportsExist(target)
}

function compile() {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  run(process.execPath, [tsc, '-p', project, '--typeRoots', join(root, 'node_modules', '@types')], project)
}

function runs(node, args, expected) {
  const printed = run(node, args, project).trim()
  expect(printed === expected, `expected ${expected}, printed ${printed}`)
}

function runJob(node) {
  for (const leftover of ['out', '.sluice']) rmSync(join(project, leftover), { recursive: true, force: true })
  const printed = JSON.parse(run(node, ['job.ts'], project))
  const report = `printed ${JSON.stringify(printed)}`
  expect(printed.status === 'finished' && printed.recordsIn === 1000 && printed.recordsOut === 1000 && printed.main, report)
  const parts = readdirSync(join(project, 'out')).filter((name) => !name.startsWith('.'))
  const rows = parts.flatMap((name) =>
    readFileSync(join(project, 'out', name), 'utf8')
      .trimEnd()
      .split('\n')
      .map(JSON.parse),
  )
  expect(rows.length === 1000, `${rows.length} lines in ${parts.join(', ')}`)
  const threads = new Set(rows.map((row) => row.counted))
  expect(threads.size === 2 && !threads.has(-1), `the keyed step ran in the threads ${[...threads].join(', ')}`)
  const words = new Set(rows.map((row) => row.word))
  expect(words.size === 10, `${words.size} different words`)
}

/** No test runner is installed here, so this also shows that none is needed. */
function runByHand(node) {
  runs(node, ['test.ts'], '[["be",1],["to",2]]')
}

function oldestNode() {
  const [major, minor = '0', patch = '0'] = manifest.engines.node.replace(/^>=/, '').split('.')
  return `${major}.${minor}.${patch}`
}

function installNode(version) {
  const folder = join(scratch, 'node')
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "allowScripts": { "node": true } }\n')
  npm(['install', `node@${version}`], folder)
  const binary = ['node', 'node.exe']
    .map((name) => join(folder, 'node_modules', 'node', 'bin', name))
    .find((path) => existsSync(path))
  expect(binary !== undefined, 'the package node has no binary')
  expect(run(binary, ['-p', 'process.versions.node'], folder).trim() === version, `${binary} is another version`)
  return binary
}

/** The npm that runs this script, on the Node that runs it: npm looks for its settings beside its Node. */
function npm(args, cwd) {
  const { npm_execpath: script, npm_node_execpath: node } = process.env
  const [command, first] = script && node ? [node, [script]] : ['npm', []]
  return run(command, [...first, ...args, '--no-audit', '--no-fund', '--loglevel=error'], cwd)
}

function run(command, args, cwd) {
  const done = spawnSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 5 * MINUTE })
  const said = `${done.stdout}${done.stderr}`.trim()
  if (done.error) throw new Error(`${command} ${args.join(' ')}: ${done.error.message}\n${said}`)
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${done.status ?? done.signal}\n${said}`)
  return done.stdout
}

function expect(condition, message) {
  if (!condition) throw new Error(message)
}
