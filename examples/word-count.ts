/**
 * The words of a real text: how often each one occurs, counted exactly once.
 *
 *     npm run example -- word-count
 */
import { fileURLToPath } from 'node:url'
import { job, readText, writeJsonLines } from 'sluice'
import { printTable, readOutput } from './support/output.ts'

const text = fileURLToPath(new URL('../LICENSE', import.meta.url))

const words = job('word-count')

words
  .from(readText(text))
  .flatMap((line) => line.toLowerCase().match(/\p{L}+/gu) ?? [])
  .keyBy((word) => word)
  .count()
  .to(writeJsonLines('out/word-count'))

const { status } = await words.run()

if (status === 'finished') {
  // Every occurrence wrote the running count of its word: the last one is the highest.
  const counts = new Map<string, number>()
  for (const { key, count } of readOutput<{ key: string; count: number }>('out/word-count'))
    counts.set(key, Math.max(count, counts.get(key) ?? 0))
  const top = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 10)
  printTable(['word', 'count'], top)
  console.log(`\n${counts.size} words in ${text}; all of them: out/word-count/*.jsonl`)
}
