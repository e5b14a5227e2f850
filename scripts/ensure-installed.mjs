// Runs before `npm start`, `npm test` and `npm run bench`, on whatever Node the machine has: installs what the lock file names unless
// it is there already. Plain JavaScript without syntax newer than Node 18, because the project's own Node arrives by this very step.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

if (!isInstalled()) {
  console.error('sluice: installing dependencies (npm ci)')
  // Without `include` a NODE_ENV of `production` would leave out the project's own Node and the test runner.
  const args = ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error']
  const [command, first] = npm()
  const done = spawnSync(command, [...first, ...args], { cwd: root, stdio: ['ignore', 2, 2] })
  if (done.error) fail(`npm could not be started: ${done.error.message}`)
  if (done.status !== 0) fail('npm ci failed; its own message is above')
  if (!hasOwnNode()) {
    fail(
      'npm ci left out the Node that the project brings along; if install scripts are switched off, run: npm rebuild node --ignore-scripts=false',
    )
  }
}

/** npm notes in the folder what it has put there. Comparing that, and not times, asks for no second install after a checkout. */
function isInstalled() {
  const wanted = packagesOf('package-lock.json')
  const there = packagesOf('node_modules/.package-lock.json')
  if (!wanted || !there || !hasOwnNode()) return false
  return Object.keys(wanted).every((path) => {
    if (path === '' || wanted[path].optional || wanted[path].peer) return true
    return there[path] !== undefined && there[path].version === wanted[path].version
  })
}

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(root + file, 'utf8')).packages
  } catch {
    return undefined
  }
}

function hasOwnNode() {
  return ['node', 'node.exe'].some((name) => existsSync(`${root}node_modules/node/bin/${name}`))
}

/**
 * The npm that runs this script, where there is one, on the Node that runs it: npm looks for its settings beside its Node. Windows, too,
 * starts no `npm.cmd` without a shell.
 */
function npm() {
  const { npm_execpath: script, npm_node_execpath: node = process.execPath } = process.env
  return script && /npm-cli\.[cm]?js$/.test(script) ? [node, [script]] : ['npm', []]
}

function fail(message) {
  console.error(`sluice: ${message}`)
  process.exit(1)
}
