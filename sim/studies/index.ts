/** Studies of placement and membership: what other designs would cost here, by simulation. Their pages: `docs/design/studies/`. */
import { chordStudy } from "./chord/study.js"
import { gossipStudy } from "./gossip/study.js"
import { quorumStudy } from "./quorum/study.js"
import type { Study } from "./report.js"

export { markdownOf } from "./report.js"

export const STUDIES: Readonly<Record<string, Study>> = {
  chord: chordStudy,
  gossip: gossipStudy,
  quorum: quorumStudy,
}

/** The seed of the tables in the pages. */
export const PAGE_SEED = 1
