import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/*
 * The peers in Java: one Maven project with a class for each. It is built when it is first asked for and when a source is newer than what was
 * built; what Maven makes lies in `target`, which is no part of the repository.
 */

const PROJECT = join(import.meta.dirname, 'java')
const JAR = join(PROJECT, 'target', 'peers.jar')
const SOURCES = join(PROJECT, 'src', 'main', 'java', 'peers')

/** The same for all of them. The opened packages are those that their own start scripts open for this version of Java. */
const VIRTUAL_MACHINE = [
  '-Xms4g',
  '-Xmx4g',
  '-XX:+UseG1GC',
  ...[
    'java.lang',
    'java.lang.invoke',
    'java.net',
    'java.nio',
    'java.time',
    'java.util',
    'java.util.concurrent',
    'sun.nio.ch',
  ].map((name) => `--add-opens=java.base/${name}=ALL-UNNAMED`),
  '--add-opens=java.management/sun.management=ALL-UNNAMED',
  '--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED',
  '--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED',
]

/** Why the peers in Java cannot run, or undefined when they can. Builds them where that is needed. */
export function prepareJava(): string | undefined {
  if (spawnSync('java', ['-version']).status !== 0) return 'there is no java'
  if (isBuilt()) return undefined
  if (spawnSync('mvn', ['-version']).status !== 0) return 'there is no mvn to build them'
  process.stderr.write('building the peers in Java with Maven\n')
  const { status, stdout } = spawnSync('mvn', ['-q', '-B', '-f', join(PROJECT, 'pom.xml'), 'package'], { encoding: 'utf8' })
  return status === 0 ? undefined : `Maven could not build them:\n${stdout}`
}

function isBuilt(): boolean {
  if (!existsSync(JAR)) return false
  const sources = [join(PROJECT, 'pom.xml'), ...readdirSync(SOURCES).map((name) => join(SOURCES, name))]
  const builtMs = statSync(JAR).mtimeMs
  return sources.every((source) => statSync(source).mtimeMs <= builtMs)
}

export function javaCommand(className: string, args: readonly string[]): readonly [string, readonly string[]] {
  const classPath = [JAR, join(PROJECT, 'target', 'dependency', '*')].join(process.platform === 'win32' ? ';' : ':')
  return ['java', [...VIRTUAL_MACHINE, '-cp', classPath, `peers.${className}`, ...args]]
}
