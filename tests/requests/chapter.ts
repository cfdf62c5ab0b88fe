/** A chapter: new buckets, some hundred random requests, and the state at the end. */
import type { Coverage } from "./coverage.js"
import { Generator, type Unit } from "./generate.js"
import { isSame, playUnit, type Played, type Player } from "./run.js"
import { World } from "./world.js"

export interface ChapterTerms {
  readonly seed: number
  readonly chapter: number
  readonly stream: number
  /** The number of random requests. */
  readonly each: number
}

export interface Difference {
  readonly chapter: number
  /** The number of its first request. */
  readonly number: number
  readonly unit: Unit
  readonly played: Played
}

/** Called with each unit and its answers. */
export type OnPlayed = (unit: Unit, played: Played) => void

/** Plays the chapter; ends at the first difference between the servers. */
export async function playChapter(
  { seed, chapter, stream, each }: ChapterTerms,
  players: readonly Player[],
  coverage: Coverage,
  onPlayed: OnPlayed = () => undefined,
): Promise<Difference | undefined> {
  const [first] = players
  if (first === undefined) throw new Error("a chapter needs a server")
  for (const player of players) player.begin()
  const world = new World(stream, `c${chapter}`)
  const generator = new Generator(seed, chapter, world, first.people)
  let number = 0
  for (const unit of generator.units(each)) {
    const played = await playUnit(players, unit, number, players.length > 1)
    onPlayed(unit, played)
    if (!isSame(played)) return { chapter, number, unit, played }
    const answers = played.outcomes[0]?.answers ?? []
    // After a pipeline that ended with a closed connection, one server may have executed more of it, so their states
    // differ.
    if (played.outcomes.some(outcome => outcome.answers.length !== answers.length)) break
    coverage.note(unit, answers)
    unit.specs.forEach((spec, i) => {
      const answer = answers[i]
      if (answer !== undefined) world.learn(number + i, spec, answer)
    })
    number += Math.max(1, unit.specs.length)
  }
  coverage.noteHeaders(generator.headersDrawn)
  return undefined
}
