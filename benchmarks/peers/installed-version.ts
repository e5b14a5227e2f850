import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'

/** `{ rxjs: '7.8.2' }` for `rxjs`. */
export function installedVersion(name: string): Readonly<Record<string, string>> {
  const file = findPackageJSON(name, import.meta.url)
  if (file === undefined) throw new Error(`${name} is not installed`)
  return { [name]: (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version }
}
