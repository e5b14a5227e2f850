// Runs before `npm start`, `npm test` and `npm run bench`, on whatever Node the machine has: installs what the lock file names unless
// it is there already. Plain JavaScript without syntax newer than Node 18, because the project's own Node arrives by this very step.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const lock = `${root}package-lock.json`
const installed = `${root}node_modules/.package-lock.json`

if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  console.error('sluice: installing dependencies (npm ci)')
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const done = spawnSync(npm, ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: root, stdio: ['ignore', 2, 2] })
  if (done.status !== 0) {
    console.error('sluice: npm ci failed; its own message is above')
    process.exit(done.status ?? 1)
  }
}
