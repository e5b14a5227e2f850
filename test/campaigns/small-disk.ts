import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const BLOCK_BYTES = [1 << 20, 4 << 10]

/** A small disk of its own, in memory; only root may make one. */
export class SmallDisk {
  static readonly #mounted = new Set<SmallDisk>()
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  static mount(path: string, megabytes: number): SmallDisk {
    mkdirSync(path, { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path], { stdio: 'ignore' })
    const disk = new SmallDisk(path)
    SmallDisk.#mounted.add(disk)
    return disk
  }

  static isPossible(): boolean {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-disk-'))
    try {
      SmallDisk.mount(folder, 1).unmount()
      return true
    } catch {
      return false
    } finally {
      rmdirSync(folder)
    }
  }

  static unmountAll(): void {
    for (const disk of SmallDisk.#mounted) disk.unmount()
  }

  get #filler(): string {
    return join(this.path, 'filler')
  }

  /** Takes what room there is. */
  fill(): void {
    for (const bytes of BLOCK_BYTES) this.#fillWith(Buffer.alloc(bytes))
  }

  #fillWith(block: Buffer): void {
    try {
      for (;;) writeFileSync(this.#filler, block, { flag: 'a' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
  }

  get isFull(): boolean {
    return existsSync(this.#filler)
  }

  makeRoom(): void {
    rmSync(this.#filler, { force: true })
  }

  /** Should somebody still have a file open there, it goes when that is closed. */
  unmount(): void {
    execFileSync('umount', ['--lazy', this.path], { stdio: 'ignore' })
    SmallDisk.#mounted.delete(this)
  }

  /** What is on it stays in its place when it is gone. */
  unmountAndKeep(): void {
    const copy = `${this.path}-copy`
    this.makeRoom()
    cpSync(this.path, copy, { recursive: true })
    this.unmount()
    cpSync(copy, this.path, { recursive: true })
    rmSync(copy, { recursive: true })
  }
}
