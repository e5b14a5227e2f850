// `npm run example -- NAME [flags]`: runs examples/NAME.ts on the sources of this tree.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const examples = fileURLToPath(new URL('../examples/', import.meta.url))
const [name, ...flags] = process.argv.slice(2)
const file = `${examples}${name}.ts`

if (name === undefined || !/^[\w-]+$/.test(name) || !existsSync(file)) {
  const names = readdirSync(examples).filter((entry) => entry.endsWith('.ts'))
  console.error(
    `usage: npm run example -- NAME [flags]\n${names.map((entry) => `  ${entry.slice(0, -'.ts'.length)}`).join('\n')}`,
  )
  process.exit(2)
}
const { status } = spawnSync(process.execPath, ['--conditions=@sluice/source', file, '--overwrite', ...flags], {
  stdio: 'inherit',
})
process.exit(status ?? 1)
