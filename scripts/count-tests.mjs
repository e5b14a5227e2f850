// Prints `passed failed` from the test runner's JSON report, for .ci/run. A file that could not be loaded has no tests but has failed,
// and so has a run that ended badly without a failed test: an error outside all tests, or no report at all.
import { readFileSync } from 'node:fs'

const [file, exitCode] = process.argv.slice(2)
const { numPassedTests: passed, numFailedTests, testResults } = read()
const broken = testResults.filter(
  (result) => result.status === 'failed' && !result.assertionResults.some((test) => test.status === 'failed'),
)
const failed = numFailedTests + broken.length
console.log(passed, failed === 0 && exitCode !== '0' ? 1 : failed)

function read() {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    console.error(`no report of the tests: ${error.message}`)
    return { numPassedTests: 0, numFailedTests: 0, testResults: [] }
  }
}
