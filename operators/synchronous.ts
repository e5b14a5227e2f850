import { SluiceError } from '../src/core/errors.ts'

/** Refuses a handler that is missing or none when the job is built, and not at the first record. @throws SluiceError `INVALID_OPTION` */
export function checkHandlers(verb: string, handlers: object, names: readonly string[]): void {
  for (const name of names) {
    if (typeof (handlers as Readonly<Record<string, unknown>> | null)?.[name] === 'function') continue
    throw new SluiceError('INVALID_OPTION', `${verb} needs a function ${name}`, {
      hint: `write ${verb}({ ${names.map((each) => `${each}(...) {...}`).join(', ')} })`,
    })
  }
}
