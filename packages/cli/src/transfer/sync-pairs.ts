/**
 * Merges two listings, each in the order of names, so that memory holds one entry of each.
 *
 * Promises  A listing that is not in order is an error: names would seem to be missing that are there, and be deleted.
 */
import { BrokenAnswer } from "@hayloft/client/index.js"
import { compareNames } from "./local-tree.js"

interface Named {
  readonly name: string
}

/** At least one of both. */
interface Pair<Source, Target> {
  readonly source?: Source | undefined
  readonly target?: Target | undefined
}

export async function* pairsOf<Source extends Named, Target extends Named>(
  sources: AsyncIterable<Source>,
  targets: AsyncIterable<Target>,
): AsyncGenerator<Pair<Source, Target>, void, void> {
  const [left, right] = [inOrder(sources, "the source"), inOrder(targets, "the target")]
  try {
    let source = (await left.next()).value
    let target = (await right.next()).value
    while (source !== undefined || target !== undefined) {
      const order = source === undefined ? 1 : target === undefined ? -1 : compareNames(source.name, target.name)
      yield { source: order <= 0 ? source : undefined, target: order >= 0 ? target : undefined }
      if (order <= 0) source = (await left.next()).value
      if (order >= 0) target = (await right.next()).value
    }
  } finally {
    await left.return(undefined)
    await right.return(undefined)
  }
}

async function* inOrder<Entry extends Named>(
  entries: AsyncIterable<Entry>,
  what: string,
): AsyncGenerator<Entry, undefined, void> {
  let before: string | undefined
  for await (const entry of entries) {
    if (before !== undefined && compareNames(before, entry.name) >= 0)
      throw new BrokenAnswer(`${what} is not listed in the order of names: "${entry.name}" after "${before}"`)
    before = entry.name
    yield entry
  }
  return undefined
}
