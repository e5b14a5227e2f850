import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

// A long look with damaged and hostile input: `npm run fuzz -- --runs 10000 --seed 7`. What is slow runs a part as often; see docs/testing.md.
const { values } = parseArgs({ options: { runs: { type: 'string', default: '10000' }, seed: { type: 'string' } } })
const { runs, seed = String(Date.now() % 1_000_000) } = values
if (!/^\d+$/.test(runs) || !/^\d+$/.test(seed)) {
  console.error('npm run fuzz -- --runs <number> [--seed <number>]')
  process.exit(2)
}
console.log(`seed ${seed}`)
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url))
const root = fileURLToPath(new URL('..', import.meta.url))
const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/fuzz'], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, SLUICE_FUZZ_RUNS: runs, SLUICE_FUZZ_SEED: seed },
})
process.exit(status ?? 1)
