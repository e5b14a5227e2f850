import { SluiceError } from './errors.ts'

/** A misspelt option is not passed over in silence where no compiler looks. @throws SluiceError `INVALID_OPTION` */
export function onlyKnown(options: object, where: string, known: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown === undefined) return
  throw new SluiceError('INVALID_OPTION', `${where} has no option ${JSON.stringify(unknown)}`, {
    hint: `there are: ${known.join(', ')}`,
  })
}
