import type { Verification } from '../../checkpoint/verification.ts'
import type { Arguments, Usage } from '../arguments.ts'
import { EXIT } from '../exit-codes.ts'
import { STATE_DIRECTORY_FLAG } from '../job-folder.ts'
import type { Output } from '../output.ts'
import { count, table } from '../output.ts'
import { CHECKPOINT_EXPLANATION, checkpointSource, savepointSource } from './checkpoints-source.ts'

export const VERIFY_USAGE: Usage = {
  command: 'checkpoints verify',
  positionals: '[<checkpoint or savepoint>] [<job>]',
  minimum: 0,
  maximum: 2,
  summary: 'Reads what is stored of a job, or the folder of a savepoint, to its last row, and says what is damaged.',
  explanation: [
    'Of a job it reads the manifests of all checkpoints that are kept, or of that one, the changes that these name, and the base with every key and',
    'value in it. The job may be running. Nothing is changed. Ends with 5 when anything is damaged.',
    CHECKPOINT_EXPLANATION,
  ].join('\n'),
  flags: { 'state-directory': STATE_DIRECTORY_FLAG },
}

interface Verified {
  /** For people. */
  readonly name: string
  readonly document: Readonly<Record<string, unknown>>
  readonly verification: Verification
}

export async function verifyCheckpoints(args: Arguments, output: Output): Promise<number> {
  const savepoint = savepointSource(args)
  const { name, document, verification } = savepoint === undefined ? await verifiedJob(args) : await verifiedSavepoint(savepoint)
  const isSound = verification.damage.length === 0
  output.result({ ...document, sound: isSound, ...verification }, () => textOf(name, verification))
  return isSound ? EXIT.ok : EXIT.unfit
}

async function verifiedJob(args: Arguments): Promise<Verified> {
  const { verifyStore } = await import('../../checkpoint/verification.ts')
  const { job, path, checkpoint } = checkpointSource(args)
  return { name: `'${job}'`, document: { job }, verification: await verifyStore(path, checkpoint) }
}

async function verifiedSavepoint(path: string): Promise<Verified> {
  const { openSavepoint } = await import('../../checkpoint/savepoint.ts')
  const { verifySavepoint } = await import('../../checkpoint/verification.ts')
  const savepoint = openSavepoint(path)
  const document = { job: savepoint.job, savepoint: savepoint.path }
  return { name: `the savepoint ${savepoint.path}`, document, verification: await verifySavepoint(savepoint) }
}

function textOf(name: string, { checkpoints, chunks, rows, damage }: Verification): string {
  const read = `${count(checkpoints.length)} manifests, ${count(chunks)} chunks and ${count(rows)} rows of ${name} were read`
  if (damage.length === 0) return `${read}: nothing is damaged`
  const lines = damage.map(({ where, problem }) => [where, problem])
  return [`${read}: ${count(damage.length)} are damaged`, '', table(['damaged', 'problem'], lines)].join('\n')
}
