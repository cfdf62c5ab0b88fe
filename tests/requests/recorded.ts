/**
 * Recorded answers: some thousand random requests to one server; `recorded.txt` contains a short hash of each
 * answer, and readable counts of each kind of answer.
 *
 * Promises  The same code writes the same file, at any time and on any machine.
 */
import { createHash } from "node:crypto"
import { readFile, writeFile } from "node:fs/promises"
import { quietParent, withFolder } from "../harness/folders.js"
import { ROOT } from "../harness/server.js"
import { playChapter } from "./chapter.js"
import { codeOf, Coverage } from "./coverage.js"
import type { Unit } from "./generate.js"
import { Player, type Played } from "./run.js"
import { show } from "./show.js"
import { openStore, STREAMS } from "./store.js"

export const RECORDED = { seed: 1, each: 250, chapters: 2 * STREAMS } as const
const FILE = `${ROOT}tests/requests/recorded.txt`
const HASH_CHARACTERS = 7
const HASHES_OF_A_LINE = 14

/** A short hash of one answer, or of those of a pipeline. */
const hashOf = (text: string): string =>
  createHash("sha256").update(text, "latin1").digest("hex").slice(0, HASH_CHARACTERS)

export interface Recording {
  readonly chapters: readonly (readonly string[])[]
  /** Counts by operation and answer. */
  readonly counts: ReadonlyMap<string, number>
  readonly requests: number
}

type OnUnit = (chapter: number, at: number, hash: string, unit: Unit, played: Played) => void

/** Plays the recorded chapters. `onUnit` is called with each hash and its unit. */
async function playRecorded(onUnit: OnUnit = () => undefined): Promise<Recording> {
  const { seed, each } = RECORDED
  const chapters: string[][] = Array.from({ length: RECORDED.chapters }, () => [])
  const counts = new Map<string, number>()
  const coverage = new Coverage()
  await withFolder(async folder => {
    const { server, people } = await openStore(folder, undefined)
    const stream = async (number: number): Promise<void> => {
      const mine = people[number]
      if (mine === undefined) throw new Error(`stream ${number} has no people`)
      const player = new Player(server.port, mine)
      for (let chapter = number; chapter < chapters.length; chapter += STREAMS) {
        const hashes = chapters[chapter] ?? []
        await playChapter({ seed, chapter, stream: number, each }, [player], coverage, (unit, played) => {
          const hash = hashOf(played.outcomes[0]?.text ?? "")
          hashes.push(hash)
          count(counts, unit, played)
          onUnit(chapter, hashes.length - 1, hash, unit, played)
        })
      }
      player.close()
    }
    try {
      await Promise.all(Array.from({ length: STREAMS }, (_, number) => stream(number)))
    } finally {
      await server.kill()
    }
  }, quietParent())
  return { chapters, counts, requests: coverage.requests }
}

function count(counts: Map<string, number>, { kind, specs }: Unit, { outcomes }: Played): void {
  const answers = outcomes[0]?.answers ?? []
  for (let i = 0; i < Math.max(1, specs.length); i += 1) {
    const answer = answers[i]
    const name = `${specs[i]?.what ?? kind} ${answer === undefined ? "no answer" : codeOf(answer)}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
}

function textOf({ chapters, counts, requests }: Recording): string {
  const lines = [`# ${requests} requests; written by: npm run requests -- --record`]
  for (const [name, number] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1))) lines.push(`# ${number} ${name}`)
  for (const [chapter, hashes] of chapters.entries()) {
    lines.push(`chapter ${chapter}`)
    for (let at = 0; at < hashes.length; at += HASHES_OF_A_LINE)
      lines.push(hashes.slice(at, at + HASHES_OF_A_LINE).join(" "))
  }
  return `${lines.join("\n")}\n`
}

export async function record(): Promise<Recording> {
  const recording = await playRecorded()
  await writeFile(FILE, textOf(recording))
  return recording
}

async function readHashes(): Promise<readonly (readonly string[])[]> {
  const text = await readFile(FILE, "utf8")
  const [, ...chapters] = text.split(/^chapter \d+$/m)
  return chapters.map(hashes => hashes.trim().split(/\s+/))
}

/** The first answer of each chapter that differs from the recorded one; later differences follow from it. */
export async function differences(): Promise<readonly string[]> {
  const recorded = await readHashes()
  const found = new Map<number, string>()
  const played = await playRecorded((chapter, at, hash, unit, one) => {
    if (hash === recorded[chapter]?.[at] || found.has(chapter)) return
    found.set(chapter, show({ chapter, number: one.first, unit, played: one }))
  })
  for (const [chapter, hashes] of played.chapters.entries())
    if (!found.has(chapter) && hashes.length !== recorded[chapter]?.length)
      found.set(chapter, `chapter ${chapter} has ${hashes.length} answers, recorded are ${recorded[chapter]?.length}`)
  const { seed, each } = RECORDED
  const how = (chapter: number): string =>
    `Compare with a checkout that answers as recorded: npm run requests -- --beside PATH --seed ${seed} --each ${each} --chapter ${chapter}`
  return [...found].map(([chapter, text]) => `${text}\n${how(chapter)}`)
}
