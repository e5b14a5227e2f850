import { defineConfig } from 'vitest/config'

// Tests run on the sources: the package's own name resolves through the condition `@sluice/source`. Forks, because threads and native addons
// of the code under test should not share a process with the runner. Two files at a time, also where there are more cores: tests start
// threads and processes themselves, and some of them watch the clock.
export default defineConfig({
  resolve: { conditions: ['@sluice/source'] },
  ssr: { resolve: { conditions: ['@sluice/source'] } },
  test: {
    pool: 'forks',
    maxWorkers: 2,
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    typecheck: { enabled: false },
  },
})
