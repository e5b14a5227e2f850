import { defineConfig } from 'vitest/config'

// Tests run on the sources: the package's own name resolves through the condition `source`. Forks, because threads and native addons
// of the code under test should not share a process with the runner.
export default defineConfig({
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    pool: 'forks',
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    typecheck: { enabled: false },
  },
})
