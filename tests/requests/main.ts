/**
 * `npm run requests -- --beside PATH [--requests N] [--seed N]`: sends random requests to the server of this
 * checkout and of another one (built, with its dependencies). Their answers must be equal.
 *
 *   --chapter N       plays this chapter alone, and shows a difference in full
 *   --each N          number of requests in a chapter
 *   --record          only writes the recorded answers, with which `npm test` compares
 *
 * Prints the counts of requests and answers, and the command that repeats a difference. Exits with 1 if answers
 * differ.
 */
import { parseArgs } from "node:util"
import { resolve } from "node:path"
import { ROOT } from "../harness/server.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { Coverage } from "./coverage.js"
import { playChapter, type Difference } from "./chapter.js"
import { record } from "./recorded.js"
import { Player } from "./run.js"
import { openStore, STREAMS } from "./store.js"
import { show } from "./show.js"

const { values } = parseArgs({
  options: {
    beside: { type: "string" },
    requests: { type: "string", default: "100000" },
    each: { type: "string", default: "600" },
    seed: { type: "string", default: "1" },
    chapter: { type: "string" },
    record: { type: "boolean", default: false },
  },
})

/** After this many chapters the stores are recreated, to bound their size. */
const CHAPTERS_OF_A_STORE = 120
const DIFFERENCES_SHOWN = 5

const write = (text: string): void => void process.stdout.write(`${text}\n`)

interface Work {
  readonly seed: number
  readonly each: number
  readonly chapters: readonly number[]
  readonly beside: string
}

/** Plays the chapters on new stores, in several streams. */
async function playAll({ seed, each, chapters, beside }: Work, coverage: Coverage): Promise<Difference[]> {
  const differences: Difference[] = []
  await withFolder(async folder => {
    const stores = await Promise.all([openStore(`${folder}/a`, beside), openStore(`${folder}/b`, undefined)])
    try {
      const left = [...chapters]
      const stream = async (number: number): Promise<void> => {
        const own = left.filter(chapter => chapter % STREAMS === number)
        const players = stores.map(({ server, people }) => {
          const mine = people[number]
          if (mine === undefined) throw new Error(`stream ${number} has no people`)
          return new Player(server.port, mine)
        })
        for (const chapter of own) {
          if (differences.length >= DIFFERENCES_SHOWN) return
          const found = await playChapter({ seed, chapter, stream: number, each }, players, coverage)
          if (found !== undefined) differences.push(found)
        }
        for (const player of players) player.close()
      }
      await Promise.all(Array.from({ length: STREAMS }, (_, number) => stream(number)))
    } catch (error) {
      for (const { server } of stores) write(server.log)
      throw error
    } finally {
      await Promise.all(stores.map(({ server }) => server.kill()))
    }
  }, quietParent())
  return differences
}

async function compare(beside: string): Promise<number> {
  const [seed, each] = [Number(values.seed), Number(values.each)]
  const count = Math.ceil(Number(values.requests) / each)
  const only = values.chapter === undefined ? undefined : Number(values.chapter)
  const coverage = new Coverage()
  const startedMs = Date.now()
  for (let first = 0; first < (only === undefined ? count : 1); first += CHAPTERS_OF_A_STORE) {
    const length = Math.min(CHAPTERS_OF_A_STORE, count - first)
    const chapters = only === undefined ? Array.from({ length }, (_, i) => first + i) : [only]
    const differences = await playAll({ seed, each, chapters, beside: `${resolve(beside)}/` }, coverage)
    const seconds = (Date.now() - startedMs) / 1_000
    write(`${coverage.requests} requests, ${Math.round(coverage.requests / seconds)} a second`)
    if (differences.length === 0) continue
    for (const difference of differences) {
      write(show(difference))
      const again = `--seed ${seed} --each ${each} --chapter ${difference.chapter}`
      write(`again: npm run requests -- --beside ${beside} ${again}\n`)
    }
    return 1
  }
  write(coverage.table())
  write("all answers are the same")
  return 0
}

if (values.record) write(`recorded ${(await record()).requests} requests; read the diff of tests/requests/recorded.txt`)
else process.exitCode = await compare(values.beside ?? ROOT)
