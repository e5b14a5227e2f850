import { SluiceError } from './errors.ts'
import { shown } from './shown.ts'

/** An amount of memory: bytes as a number, or a literal that the compiler checks. `'1kb'` is 1,024 bytes. */
export type ByteSize = number | `${number}${'kb' | 'mb' | 'gb'}`

const UNIT_BYTES = { kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 } as const

/**
 * A size in whole bytes. `what` names the setting in the error.
 * @throws SluiceError `INVALID_OPTION` for anything but a finite size of at least one byte.
 */
export function byteSize(size: ByteSize, what: string): number {
  const bytes = Math.round((typeof size === 'number' ? size : parse(size)) ?? Number.NaN)
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes
  throw new SluiceError('INVALID_OPTION', `${what} is not a size: ${shown(size)}`, {
    hint: "write bytes as a number, or a literal such as '64kb', '512mb', '2gb'",
  })
}

function parse(text: unknown): number | undefined {
  const match = typeof text === 'string' ? /^(\d+(?:\.\d+)?)(kb|mb|gb)$/.exec(text) : null
  return match ? Number(match[1]) * UNIT_BYTES[match[2] as keyof typeof UNIT_BYTES] : undefined
}
