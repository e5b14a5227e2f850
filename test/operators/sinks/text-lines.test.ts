import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { writeText } from '../../../operators/sinks/index.ts'
import { encodeTextLine } from '../../../operators/sinks/text-lines.ts'
import { describeFolderSink } from './conformance.ts'
import { committerOf, FIRST_START, stage, temporaryFolder, textOf, writerOf } from './folder-harness.ts'

describeFolderSink('writeText', {
  create: writeText,
  extension: 'txt',
  records: ['the first line', 'straße, 東京, 🚀', '', ' spaces around '],
  read: (text) => text.split('\n').slice(0, -1),
})

describe('writeText', () => {
  test.each<[string, unknown]>([
    ['a number', 1],
    ['null', null],
    ['undefined', undefined],
    ['an array', ['a']],
    ['an object', { a: 1 }],
  ])('refuses %s', (_, value) => {
    expect(() => encodeTextLine(value as string)).toThrow(expect.objectContaining({ code: 'VALUE_NOT_ENCODABLE' }))
  })

  test.each([
    ['a line feed inside', 'two\nlines'],
    ['a line feed at the end', 'line\n'],
    ['half a surrogate pair', 'half \ud83d of a rocket'],
  ])('refuses %s', (_, value) => {
    expect(() => encodeTextLine(value)).toThrow(
      expect.objectContaining({ code: 'VALUE_NOT_ENCODABLE', hint: expect.stringContaining('writeJsonLines') }),
    )
  })

  test('goes on after a record that it refused', async () => {
    const folder = temporaryFolder()
    const sink = writeText(folder)
    const committer = committerOf(sink)
    await committer.open(FIRST_START)
    const writer = writerOf(sink)
    writer.write('before')
    expect(() => writer.write('re\nfused')).toThrow()
    await committer.commit(await stage(writer, ['after'], 1))
    expect(textOf(folder, 'part-0-1.txt')).toBe('before\nafter\n')
  })

  test('every string without a line feed is one line of the same UTF-8', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        fc.pre(value.isWellFormed() && !value.includes('\n'))
        expect(Buffer.from(encodeTextLine(value)).toString('utf8')).toBe(`${value}\n`)
      }),
    )
  })
})
