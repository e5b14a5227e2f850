import type { PerformanceEntry } from 'node:perf_hooks'
import { constants, PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8'
import { resourceLimits } from 'node:worker_threads'

/** How full the heap of a thread is with what is in use. */
export interface HeapUse {
  readonly usedBytes: number
  readonly limitBytes: number
}

const YOUNG_SPACES = ['new_space', 'new_large_object_space']

/** Without what is young: it comes and goes, and has room of its own beside the limit. */
function oldBytes(): number {
  return getHeapSpaceStatistics()
    .filter(({ space_name }) => !YOUNG_SPACES.includes(space_name))
    .reduce((sum, { space_used_size }) => sum + space_used_size, 0)
}

/**
 * Looks at the heap behind full collections, because at any other time most of what is in it may be garbage, up to the very limit. Of the last
 * two looks the lower one counts: a collection leaves what was made while it ran.
 */
class ThreadHeap {
  #last = 0
  #before = 0

  constructor() {
    const observer = new PerformanceObserver((list) => {
      if (!list.getEntries().some(isFull)) return
      this.#before = this.#last
      this.#last = oldBytes()
    })
    observer.observe({ entryTypes: ['gc'] })
  }

  get use(): HeapUse {
    const youngBytes = (resourceLimits.maxYoungGenerationSizeMb ?? 0) * 2 ** 20
    return { usedBytes: Math.min(this.#last, this.#before), limitBytes: getHeapStatistics().heap_size_limit - youngBytes }
  }
}

function isFull(entry: PerformanceEntry & { readonly detail?: unknown }): boolean {
  return (entry.detail as { readonly kind?: number } | undefined)?.kind === constants.NODE_PERFORMANCE_GC_MAJOR
}

let heap: ThreadHeap | undefined

/** Of the thread that asks; what was collected before it first asks is not known. */
export function heapUse(): HeapUse {
  heap ??= new ThreadHeap()
  return heap.use
}
