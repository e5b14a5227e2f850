import { isMainThread, threadId } from 'node:worker_threads'
import { items, job, writeJsonLines } from 'sluice'

interface Word {
  readonly text: string
  readonly thread: number
}

const words = job('installed', { parallelism: 2, checkpoint: { every: '100ms' } })

words
  .from(items(Array.from({ length: 1000 }, (_, index) => `word ${index % 10}`)))
  .map((text): Word => ({ text, thread: isMainThread ? -1 : threadId }))
  .keyBy((word) => word.text)
  .process({
    *onRecord(word, ctx) {
      yield { word: ctx.key, read: word.thread, counted: isMainThread ? -1 : threadId }
    },
  })
  .to(writeJsonLines('out'))

const { status, recordsIn, recordsOut } = await words.run()
console.log(JSON.stringify({ status, recordsIn, recordsOut, main: isMainThread }))
