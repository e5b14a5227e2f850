import { items, job, writeJsonLines } from 'sluice'
import { testDriver } from 'sluice/testing'

const words = job('by-hand')
const out = writeJsonLines<readonly [string, number]>('out')
words
  .from(items<string>([]))
  .keyBy((word) => word)
  .count()
  .map(({ key, count }) => [key, count] as const)
  .to(out)

const driver = testDriver(words, { parallelism: 2 })
driver.send('to')
await driver.checkpoint()
driver.send('be')
driver.send('to')
driver.crashAndRestore({ parallelism: 1 })
console.log(JSON.stringify(driver.output(out).slice(1).toSorted()))
