import { describe, expect, test } from 'vitest'
import { SeededRandom } from '../../src/testing/simulation/random.ts'
import { SimulatedFiles } from '../../src/testing/simulation/simulated-files.ts'

/** What every one of many seeds makes of the same, each outcome once. */
function outcomes<R>(act: (files: SimulatedFiles, random: SeededRandom) => R): readonly R[] {
  const found = new Map<string, R>()
  for (let seed = 0; seed < 300; seed++) {
    const random = new SeededRandom(seed, 'test')
    const outcome = act(new SimulatedFiles(random), random)
    found.set(JSON.stringify(outcome), outcome)
  }
  return [...found.values()].sort((a, b) => (String(a) < String(b) ? -1 : 1))
}

/** A folder that is on the disk. */
function withFolder(files: SimulatedFiles): SimulatedFiles {
  files.makeFolder('/simulated/out')
  files.folder('/simulated').sync()
  return files
}

function namesIn(files: SimulatedFiles): readonly string[] {
  return [...files.folder('/simulated/out').names.keys()].sort()
}

/** The names of an empty folder when power fails, and again when it fails once more. */
function namesAfter(act: (files: SimulatedFiles) => void): readonly (readonly string[])[] {
  return outcomes((files) => {
    act(withFolder(files))
    files.failPower()
    const names = namesIn(files)
    files.failPower()
    expect(namesIn(files)).toEqual(names)
    return names
  })
}

/** What is left of a file of which `durable` was synced and `dirty` was not. */
function contents(durable: string, dirty: string, act: (files: SimulatedFiles, random: SeededRandom) => void): readonly string[] {
  return outcomes((files, random) => {
    const file = withFolder(files).create('/simulated/out/a')
    files.folder('/simulated/out').sync()
    file.append(Buffer.from(durable))
    file.sync()
    file.append(Buffer.from(dirty))
    act(files, random)
    return file.bytes.toString().replaceAll('\0', '_')
  })
}

describe('a loss of power', () => {
  test('leaves what was synced, and of the rest any beginning, zeros behind it, or all', () => {
    expect(contents('ab', 'cd', (files) => files.failPower())).toEqual(['ab', 'ab__', 'abc', 'abc_', 'abcd'])
  })

  test('leaves all of what was synced', () => {
    const synced = contents('ab', 'cd', (files) => {
      files.file('/simulated/out/a').sync()
      files.failPower()
    })
    expect(synced).toEqual(['abcd'])
  })

  test('leaves a file as it is from then on', () => {
    contents('', 'abcdef', (files) => {
      files.failPower()
      const { bytes } = files.file('/simulated/out/a')
      files.failPower()
      expect(files.file('/simulated/out/a').bytes).toEqual(bytes)
    })
  })

  test('keeps a new name or not, without a sync of its folder, also when the file was synced', () => {
    expect(namesAfter((files) => files.create('/simulated/out/a').sync())).toEqual([[], ['a']])
  })

  test('keeps names that were synced', () => {
    const names = namesAfter((files) => {
      files.create('/simulated/out/a')
      files.folder('/simulated/out').sync()
    })
    expect(names).toEqual([['a']])
  })

  test('keeps a rename wholly or not at all', () => {
    const names = namesAfter((files) => {
      files.create('/simulated/out/a')
      files.folder('/simulated/out').sync()
      files.rename('/simulated/out/a', '/simulated/out/b')
    })
    expect(names).toEqual([['a'], ['b']])
  })

  test('leaves one of the two where a rename has replaced a name', () => {
    const found = outcomes((files) => {
      withFolder(files).create('/simulated/out/a').append(Buffer.from('old'))
      files.create('/simulated/out/b').append(Buffer.from('new'))
      for (const name of ['a', 'b']) files.file(`/simulated/out/${name}`).sync()
      files.folder('/simulated/out').sync()
      files.rename('/simulated/out/b', '/simulated/out/a')
      files.failPower()
      return [files.file('/simulated/out/a').bytes.toString(), ...namesIn(files)]
    })
    expect(found).toEqual([
      ['new', 'a'],
      ['old', 'a', 'b'],
    ])
  })

  test('keeps no change of a name without those before it, and changes of others in any choice', () => {
    const names = namesAfter((files) => {
      for (const name of ['a', 'b']) {
        files.create(`/simulated/out/${name}`)
        files.rename(`/simulated/out/${name}`, `/simulated/out/${name}${name}`)
      }
    })
    expect(names).toEqual([[], ['a'], ['a', 'b'], ['a', 'bb'], ['aa'], ['aa', 'b'], ['aa', 'bb'], ['b'], ['bb']])
  })

  test('may undo a removal', () => {
    const names = namesAfter((files) => {
      files.create('/simulated/out/a')
      files.folder('/simulated/out').sync()
      files.remove('/simulated/out/a')
    })
    expect(names).toEqual([[], ['a']])
  })

  test('takes a folder that was not synced into the one above it, with all that is in it', () => {
    const found = outcomes((files) => {
      files.makeFolder('/simulated/out')
      files.create('/simulated/out/a').sync()
      files.folder('/simulated/out').sync()
      files.failPower()
      return files.find('/simulated/out/a') !== undefined
    })
    expect(found).toEqual([false, true])
  })
})

describe('a sync that fails', () => {
  test('has lost what it was to write, at once or when power fails, whatever a later one says', () => {
    const left = contents('ab', 'cd', (files, random) => {
      const file = files.file('/simulated/out/a')
      file.failSync(random)
      file.sync()
      files.failPower()
    })
    expect(left).toEqual(['ab', 'ab_', 'ab__', 'abc', 'abc_'])
  })

  test('loses nothing that was on the disk before', () => {
    const left = contents('abcd', '', (files, random) => {
      files.file('/simulated/out/a').failSync(random)
      files.failPower()
    })
    expect(left).toEqual(['abcd'])
  })
})

describe('errors are those of a file system:', () => {
  test.each<[string, (files: SimulatedFiles) => unknown]>([
    ['EEXIST', (files) => files.create('/simulated/out/a')],
    ['EEXIST', (files) => files.makeFolder('/simulated/out')],
    ['ENOENT', (files) => files.rename('/simulated/out/b', '/simulated/out/c')],
    ['ENOENT', (files) => files.remove('/simulated/out/b')],
    ['ENOENT', (files) => files.create('/simulated/other/b')],
    ['ENOTDIR', (files) => files.folder('/simulated/out/a')],
    ['EISDIR', (files) => files.file('/simulated/out')],
    ['EXDEV', (files) => files.rename('/simulated/out/a', '/simulated/a')],
  ])('%s', (code, act) => {
    const files = withFolder(new SimulatedFiles(new SeededRandom(1)))
    files.create('/simulated/out/a')
    expect(() => act(files)).toThrow(expect.objectContaining({ code }))
  })
})
