/**
 * Kills its own worker thread, then its own process, and shows that the answer does not change.
 *
 *     npm run example -- crash-and-recover
 *
 * This file is both: started plainly it is the story, which starts itself as the job, twice over: once left alone, once killed.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { generate, job, tumblingWindow, writeJsonLines } from 'sluice'
import { readOutput } from './support/output.ts'

const role = process.argv.find((argument) => argument.startsWith('--role='))?.slice('--role='.length)
const folder = 'out/crash-and-recover'

interface Sum {
  sensor: string
  start: number
  readings: number
  sum: number
}

if (role === undefined && isMainThread) tell()
else await measure(role!)

/** The job: readings of 50 sensors in windows of a minute. In the role `killed` it dies twice. */
async function measure(name: string): Promise<void> {
  const sensors = job('sensors', {
    checkpoint: { every: '50ms' },
    stateDirectory: `${folder}/${name}/state`,
    restart: { strategy: 'fixed', delay: 10 },
  })
  const windows = sensors
    .from(generate({ count: 200_000, rate: 200_000, at: (i) => ({ sensor: `sensor-${i % 50}`, value: i % 97, time: i * 40 }) }))
    .map((reading) => {
      if (name === 'killed') dieAt(reading.time)
      return reading
    })
    .withTimestamps((reading) => reading.time, { maxOutOfOrderness: '1m' })
    .keyBy((reading) => reading.sensor)
    .window(tumblingWindow('1m'))
    .aggregate({
      create: () => ({ readings: 0, sum: 0 }),
      add: (total, reading) => ({ readings: total.readings + 1, sum: total.sum + reading.value }),
      result: (total, { key, window }): Sum => ({ sensor: key, start: window.start, ...total }),
    })
  windows.to(writeJsonLines(`${folder}/${name}/windows`))
  windows.late.to(writeJsonLines(`${folder}/${name}/late`))
  const { restarts, recordsIn } = await sensors.run({ quiet: true })
  console.log(`  finished: ${recordsIn} readings, ${restarts} restarts in this process`)
}

function dieAt(time: number): void {
  if (time === 2_000_000 && once('thread')) {
    console.error('  a worker thread exits in the middle of a record')
    process.exit(1)
  }
  if (time === 5_000_000 && once('process')) {
    writeFileSync(1, '  the process is killed with SIGKILL\n')
    process.kill(process.pid, 'SIGKILL')
  }
}

/** True the first time, over all threads and processes. */
function once(what: string): boolean {
  const mark = `${folder}/killed/${what}-has-died`
  if (existsSync(mark)) return false
  writeFileSync(mark, '')
  return true
}

function tell(): void {
  rmSync(folder, { recursive: true, force: true })
  console.log('Undisturbed:')
  start('undisturbed')
  console.log('Killed:')
  while (start('killed') === null) console.log('  started again')
  const [undisturbed, killed] = [answer('undisturbed'), answer('killed')]
  const same = undisturbed === killed
  console.log(
    `${undisturbed.split('\n').length} windows each. The answers are ${same ? 'the same, byte for byte' : 'DIFFERENT'}.`,
  )
  console.log(`Look: ${folder}/undisturbed/windows and ${folder}/killed/windows`)
  process.exitCode = same ? 0 : 1
}

/** Runs this file as the job. `null` when it was killed. */
function start(name: string): number | null {
  return spawnSync(process.execPath, [...process.execArgv, process.argv[1]!, `--role=${name}`], { stdio: 'inherit' }).status
}

/** The committed windows in one text, in the order of sensor and time. */
function answer(name: string): string {
  const lines = [...readOutput<Sum>(`${folder}/${name}/windows`), ...readOutput<object>(`${folder}/${name}/late`)].map((sum) =>
    JSON.stringify(sum),
  )
  return lines.sort().join('\n')
}
